use super::*;

#[test]
fn one_that_has_vanished_does_not_keep_others_from_being_attached_to() {
    let attach = |one: u32| match one {
        0 => Ok(None),
        9 => Err(Error::msg("refused")),
        one => Ok(Some(one)),
    };
    let tried = |new: &[u32]| {
        let (first, behind) = first_there(new, attach);
        (first.map(|(one, attached)| (one, attached.ok())), behind)
    };
    assert_eq!(tried(&[0, 0, 3, 4]), (Some((3, Some(3))), 1));
    assert_eq!(tried(&[0, 9, 4]), (Some((9, None)), 1));
    // Nothing is left to come back for at once.
    assert_eq!(tried(&[0, 0]), (None, 0));
    assert_eq!(tried(&[]), (None, 0));
}
