//! Requests → answers.

use std::sync::Arc;

use httparse::{EMPTY_HEADER, Error, Header, Request, Status};

use super::Board;
use super::accept::Format;

/// Bytes of a request's head, at most.
pub const LONGEST_HEAD: usize = 8 << 10;
/// Its headers, at most.
const MOST_HEADERS: usize = 64;

const PLAIN: &str = "text/plain; charset=utf-8";
/// What a person finds who looks what this is.
const HOME: &str = "xdptrace export: what XDP programs do with packets, for Prometheus\n\n\
                    /metrics  in its text format, or OpenMetrics\n\
                    /healthz  whether the tracer is at work\n";

/// An answer, ready to be written.
#[derive(Debug)]
pub struct Answer {
    pub head: String,
    pub body: Arc<str>,
}

impl Answer {
    /// The answer to what was read so far; None: the request's head isn't whole yet.
    pub fn new(request: &[u8], board: &Board) -> Option<Self> {
        let mut headers = [EMPTY_HEADER; MOST_HEADERS];
        let mut parsed = Request::new(&mut headers);
        match parsed.parse(request) {
            Ok(Status::Complete(_)) => Some(Self::to(&parsed, board)),
            Ok(Status::Partial) if request.len() < LONGEST_HEAD => None,
            Ok(Status::Partial) | Err(Error::TooManyHeaders) => {
                Some(Self::plain("431 Request Header Fields Too Large", "more than a scrape takes"))
            }
            Err(_) => Some(Self::plain("400 Bad Request", "this is no HTTP")),
        }
    }

    fn to(request: &Request<'_, '_>, board: &Board) -> Self {
        let has_body = match request.method {
            Some("GET") => true,
            Some("HEAD") => false,
            _ => return Self::plain("405 Method Not Allowed", "GET and HEAD only").with("Allow: GET, HEAD\r\n"),
        };
        if request.version == Some(1) && header(request.headers, "host").is_none() {
            return Self::plain("400 Bad Request", "HTTP/1.1 takes a Host header");
        }
        let answer = match path(request.path.unwrap_or_default()) {
            "/" => Self::made("200 OK", PLAIN, HOME.into()),
            "/metrics" => Self::metrics(header(request.headers, "accept"), board),
            "/healthz" => match board.health() {
                Ok(state) => Self::plain("200 OK", &state),
                Err(reason) => Self::plain("503 Service Unavailable", &reason),
            },
            _ => Self::plain("404 Not Found", "there are /metrics and /healthz"),
        };
        if has_body { answer } else { Self { body: "".into(), ..answer } }
    }

    fn metrics(accept: Option<&str>, board: &Board) -> Self {
        let Some(snapshot) = board.last() else {
            return Self::plain("503 Service Unavailable", "nothing has been read yet");
        };
        let format = Format::preferred(accept);
        let body = match format {
            Format::Text => &snapshot.text,
            Format::OpenMetrics => &snapshot.open_metrics,
        };
        Self::made("200 OK", format.content_type(), Arc::clone(body)).with("Vary: Accept\r\n")
    }

    fn plain(status: &str, line: &str) -> Self {
        Self::made(status, PLAIN, format!("{line}\n").into())
    }

    fn made(status: &str, content_type: &str, body: Arc<str>) -> Self {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
        );
        Self { head, body }
    }

    fn with(mut self, line: &str) -> Self {
        self.head.insert_str(self.head.len() - 2, line);
        self
    }
}

fn header<'a>(headers: &[Header<'a>], name: &str) -> Option<&'a str> {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(header.value).ok()
}

/// Without the query; a target may be a whole URL.
fn path(target: &str) -> &str {
    let target = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    target.split(['?', '#']).next().unwrap_or_default()
}
