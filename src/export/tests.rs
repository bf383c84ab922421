//! Over real sockets.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use super::answer::Answer;
use super::*;

const GET: &str = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

fn snapshot(text: &str) -> Snapshot {
    let open_metrics = format!("{text}# EOF\n").into();
    Snapshot { text: text.into(), open_metrics, state: "2 functions traced".into(), taken: Instant::now() }
}

fn serve(board: &Arc<Board>) -> (Server, SocketAddr) {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address();
    (listener.serve(Arc::clone(board)).unwrap(), address)
}

/// A server with one snapshot, of this text.
fn with_text(text: &str) -> (Server, SocketAddr) {
    let board = Arc::new(Board::new(Duration::from_secs(60)));
    board.post(snapshot(text));
    serve(&board)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// What comes back, to the end.
fn read(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    read(stream)
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("")
}

#[test]
fn metrics_come_in_the_format_that_is_asked_for() {
    let (_server, address) = with_text("a 1\n");
    let expected = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: 4\r\n\
                    Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\nVary: Accept\r\n\r\na 1\n";
    assert_eq!(ask(address, GET), expected);
    let answer = ask(address, "GET /metrics HTTP/1.1\r\nhost: x\r\naccept: application/openmetrics-text\r\n\r\n");
    assert!(
        answer.contains("\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\na 1\n# EOF\n"), "{answer}");
    let head = ask(address, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(head, expected.strip_suffix("a 1\n").unwrap());
}

#[test]
fn each_request_has_its_status() {
    let (_server, address) = with_text("a 1\n");
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(9000));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(100));
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "200"),
        ("GET / HTTP/1.0\r\n\r\n", "200"),
        ("GET /metrics?x=y HTTP/1.1\r\nHost: x\r\n\r\n", "200"),
        ("GET http://x/metrics HTTP/1.1\r\nHost: x\r\n\r\n", "200"),
        ("GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", "200"),
        ("HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "200"),
        ("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "200"),
        ("GET /metrics/ HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
        ("GET * HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
        ("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "405"),
        ("DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", "405"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/9.9\r\n\r\n", "400"),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}", "400"),
        ("GET /\r\n\r\n", "400"),
        (&long, "431"),
        (&many, "431"),
    ] {
        let answer = ask(address, request);
        assert_eq!(status(&answer), expected, "{request:.60}: {answer}");
    }
    assert!(ask(address, "PUT / HTTP/1.1\r\n\r\n").contains("\r\nAllow: GET, HEAD\r\n"));
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let (_server, address) = with_text("a 1\n");
    let mut stream = connect(address);
    stream.set_nodelay(true).unwrap();
    for byte in GET.bytes() {
        stream.write_all(&[byte]).unwrap();
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(status(&read(stream)), "200");
}

#[test]
fn health_is_at_work_or_the_reason() {
    let board = Arc::new(Board::new(Duration::from_millis(100)));
    let (_server, address) = serve(&board);
    let health = || ask(address, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = health();
    assert!(status(&answer) == "503" && answer.ends_with("\r\n\r\nnothing has been read yet\n"), "{answer}");
    assert_eq!(status(&ask(address, GET)), "503");
    board.post(Snapshot { taken: Instant::now() + Duration::from_secs(60), ..snapshot("") });
    let answer = health();
    assert!(status(&answer) == "200" && answer.ends_with("\r\n\r\n2 functions traced\n"), "{answer}");
    let three_seconds_ago = Instant::now().checked_sub(Duration::from_secs(3)).unwrap();
    board.post(Snapshot { taken: three_seconds_ago, ..snapshot("") });
    let answer = health();
    assert!(status(&answer) == "503" && answer.ends_with("\r\n\r\nthe last reading is 3 s old\n"), "{answer}");
}

#[test]
fn who_says_nothing_or_takes_nothing_keeps_nobody_waiting() {
    // More than sockets hold.
    let text = "a 1\n".repeat(4 << 20);
    let (_server, address) = with_text(&text);
    let mut idle: Vec<TcpStream> = (0..100).map(|_| connect(address)).collect();
    let mut greedy: Vec<TcpStream> = (0..10).map(|_| connect(address)).collect();
    greedy.iter_mut().for_each(|stream| stream.write_all(GET.as_bytes()).unwrap());
    let begun = Instant::now();
    let answer = ask(address, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(status(&answer), "200");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    // Whoever reads gets all of it.
    let answer = ask(address, GET);
    assert_eq!(answer.len(), answer.find("\r\n\r\n").unwrap() + 4 + text.len());
    // Who had been there for longest has been turned away for those; others are once their time is over.
    assert!(matches!(idle[0].read(&mut [0]), Ok(0) | Err(_)));
    let last = idle.last_mut().unwrap();
    assert!(matches!(last.read(&mut [0]), Ok(0) | Err(_)));
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[test]
fn a_scrape_takes_no_time_and_keeps_no_reading_waiting() {
    let board = Arc::new(Board::new(Duration::from_secs(60)));
    // A thousand series.
    let line = format!("xdptrace_packets_total{{device=\"eth0\",program=\"{}\"}} 1234567\n", "x".repeat(40));
    board.post(snapshot(&line.repeat(1000)));
    let (_server, address) = serve(&board);
    let mut took: Vec<Duration> = (0..50)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(status(&ask(address, GET)), "200");
            begun.elapsed()
        })
        .collect();
    took.sort_unstable();
    assert!(took[25] < Duration::from_millis(20), "{took:?}");
    let mut slow = connect(address);
    slow.write_all(GET.as_bytes()).unwrap();
    let begun = Instant::now();
    (0..1000).for_each(|_| board.post(snapshot(&line)));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[test]
fn what_breaks_off_breaks_nothing() {
    let (server, address) = with_text("a 1\n");
    for _ in 0..200 {
        let mut stream = connect(address);
        stream.write_all(b"GET /met").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        drop(stream);
        drop(connect(address));
        let mut stream = connect(address);
        stream.write_all(GET.as_bytes()).unwrap();
        drop(stream);
    }
    assert_eq!(status(&ask(address, GET)), "200");
    drop(server);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn an_address_that_cannot_be_had_is_said_in_one_line() {
    let first = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let error = Listener::bind(first.address()).unwrap_err().to_string();
    let expected = format!("failed to listen on {}: ", first.address());
    assert!(error.starts_with(&expected) && error.ends_with("choose another port with --listen"), "{error}");
    let error = Listener::bind("192.0.2.1:0".parse().unwrap()).unwrap_err().to_string();
    assert!(error.contains("this machine has no such address"), "{error}");
    let ip6 = Listener::bind("[::1]:0".parse().unwrap());
    assert!(ip6.is_err() || ip6.unwrap().address().is_ipv6());
}

proptest::proptest! {
    #[test]
    fn whatever_comes_has_an_answer_or_is_not_all_yet(
        start in "(GET|HEAD|POST|x)? ?(/metrics|/healthz|http://|\\*)?( HTTP/1\\.[01]\r\n)?((Host|Accept|x): [ -~]*\r\n){0,3}",
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
    ) {
        let board = Board::new(Duration::from_secs(1));
        let request = [start.as_bytes(), &bytes].concat();
        for end in 0..request.len() {
            if let Some(Answer { head, body }) = Answer::new(&request[..end], &board) {
                proptest::prop_assert!(head.starts_with("HTTP/1.1 ") && head.ends_with("\r\n\r\n"));
                let length = format!("Content-Length: {}\r\n", body.len());
                proptest::prop_assert!(body.is_empty() || head.contains(&length));
            }
        }
    }
}
