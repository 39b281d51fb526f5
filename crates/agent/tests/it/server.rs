//! A small HTTP server on std alone: reads one request a connection and writes whatever bytes the
//! test wants, well formed or not.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

pub enum Answer {
    /// A JSON answer with this status.
    Json(u16, serde_json::Value),
    /// Exactly these bytes, then the connection ends.
    Bytes(Vec<u8>),
    /// A head, then body bytes until the client hangs up.
    Endless(&'static str),
    /// Nothing at all until the client hangs up.
    Silence,
}

pub struct Server {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers each request with what `handler` says.
    pub fn start(mut handler: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                let mut stream = stream.unwrap();
                stream
                    .set_read_timeout(Some(Duration::from_secs(10)))
                    .unwrap();
                if let Some(request) = read(&mut stream) {
                    answer(&mut stream, handler(&request));
                }
            }
        });
        Self {
            address,
            over,
            thread: Some(thread),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        let ended = self.thread.take().unwrap().join();
        // What the handler asserted counts for the test.
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        path,
        headers,
        body: String::from_utf8(body).unwrap(),
    })
}

/// Writing fails once the client has hung up, as it should on hostile answers.
fn answer(stream: &mut TcpStream, answer: Answer) {
    match answer {
        Answer::Json(status, body) => {
            let body = body.to_string();
            let kind = if status < 400 { "json" } else { "problem+json" };
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/{kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            drop(stream.write_all((head + &body).as_bytes()));
        }
        Answer::Bytes(bytes) => drop(stream.write_all(&bytes)),
        Answer::Endless(head) => {
            let mut sent = stream.write_all(head.as_bytes());
            while sent.is_ok() {
                sent = stream.write_all(&[b' '; 4096]);
            }
        }
        Answer::Silence => {
            drop(stream.read(&mut [0; 1]));
        }
    }
}
