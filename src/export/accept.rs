//! Which of the two formats a client would rather have, by its Accept header (RFC 9110, 12.5.1).

/// A format of an exposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The one that the header prefers; without one, or if it wants neither, or both alike, text.
    pub fn preferred(accept: Option<&str>) -> Self {
        let Some(accept) = accept else { return Self::Text };
        match Self::OpenMetrics.wish(accept) > Self::Text.wish(accept) {
            true => Self::OpenMetrics,
            false => Self::Text,
        }
    }

    /// What it calls itself.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    fn media_type(self) -> [&'static str; 2] {
        match self {
            Self::Text => ["text", "plain"],
            Self::OpenMetrics => ["application", "openmetrics-text"],
        }
    }

    fn version(self) -> &'static str {
        match self {
            Self::Text => "0.0.4",
            Self::OpenMetrics => "1.0.0",
        }
    }

    /// How much it is wanted, in thousandths, and by how exact a name: the most exact one decides. None: not at all.
    fn wish(self, accept: &str) -> Option<(u16, u8)> {
        let wishes = accept.split(',').filter_map(|range| self.wish_of(range));
        wishes.max_by_key(|(_, exactness)| *exactness).filter(|(quality, _)| *quality > 0)
    }

    /// What one media range says of it: nothing, if it means another type, or another version.
    fn wish_of(self, range: &str) -> Option<(u16, u8)> {
        let mut parts = range.split(';').map(str::trim);
        let exactness = self.exactness(parts.next()?)?;
        let (mut quality, mut is_versioned) = (1000, 0);
        for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => quality = thousandths(value)?,
                "version" if value == self.version() => is_versioned = 1,
                "version" => return None,
                _ => {}
            }
        }
        Some((quality, exactness + is_versioned))
    }

    fn exactness(self, media_type: &str) -> Option<u8> {
        let [ours, our_subtype] = self.media_type();
        let (theirs, their_subtype) = media_type.split_once('/')?;
        match (theirs.trim().eq_ignore_ascii_case(ours), their_subtype.trim()) {
            (true, subtype) if subtype.eq_ignore_ascii_case(our_subtype) => Some(3),
            (true, "*") => Some(2),
            (false, "*") if theirs == "*" => Some(1),
            _ => None,
        }
    }
}

/// `0.75` → 750
fn thousandths(quality: &str) -> Option<u16> {
    let quality: f32 = quality.parse().ok()?;
    (0.0..=1.0).contains(&quality).then(|| (quality * 1000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Format::{OpenMetrics, Text};

    #[test]
    fn the_higher_quality_decides_then_the_more_exact_name_then_text() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                            application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                            text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        let prometheus_2_text_only = "text/plain;version=0.0.4;q=1,*/*;q=0.1";
        for (accept, expected) in [
            (prometheus_2, OpenMetrics),
            (prometheus_3, OpenMetrics),
            (prometheus_2_text_only, Text),
            ("", Text),
            ("*/*", Text),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Text),
            ("application/json", Text),
            ("application/openmetrics-text", OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"; Q=0.1", OpenMetrics),
            ("application/*", OpenMetrics),
            ("application/openmetrics-text; version=0.0.1", Text),
            ("application/openmetrics-text;version=2.0.0, text/plain;q=0.1", Text),
            ("application/openmetrics-text;q=0", Text),
            ("application/openmetrics-text;q=0,*/*", Text),
            ("application/openmetrics-text;q=0.4, text/plain;q=0.5", Text),
            ("application/openmetrics-text;q=0.5, text/plain;q=0.4", OpenMetrics),
            ("application/openmetrics-text, text/plain", Text),
            ("text/plain, application/openmetrics-text", Text),
            ("application/openmetrics-text, */*", OpenMetrics),
            ("application/openmetrics-text, text/*", OpenMetrics),
            ("text/plain;version=1.0.0, application/openmetrics-text;q=0.2", OpenMetrics),
            ("application/openmetrics-text;q=nan, text/plain;q=0.001", Text),
            ("application/openmetrics-text;q=7", Text),
            (",;,/,=;q=,*", Text),
        ] {
            assert_eq!(Format::preferred(Some(accept)), expected, "{accept}");
        }
        assert_eq!(Format::preferred(None), Text);
    }
}
