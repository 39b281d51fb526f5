//! One HTTP/1.1 connection that is kept open: whole requests out, whole answers in. As little as a
//! load generator needs, so that it takes little of the machine; it knows only answers with a
//! `content-length`, which is what the server sends.

use std::io;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// A connection.
pub(super) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    chunk: Box<[u8]>,
}

/// An answer.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) body: &'a [u8],
}

struct Head {
    status: u16,
    body_at: usize,
    body_bytes: usize,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Vec::with_capacity(CHUNK_BYTES),
            chunk: vec![0; CHUNK_BYTES].into(),
        })
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.send(request).await?;
        self.received.clear();
        let head = loop {
            if let Some(head) = head(&self.received)? {
                break head;
            }
            self.receive().await?;
        };
        let end = head.body_at + head.body_bytes;
        while self.received.len() < end {
            self.receive().await?;
        }
        let body = self.received.get(head.body_at..end);
        match body {
            Some(body) if self.received.len() == end => Ok(Answer {
                status: head.status,
                body,
            }),
            Some(_) | None => Err(wrong("more than one answer to one request")),
        }
    }

    async fn receive(&mut self) -> io::Result<()> {
        if self.received.len() > ANSWER_BYTES_MAX {
            return Err(wrong("an answer that is too long"));
        }
        loop {
            self.stream.readable().await?;
            match self.stream.try_read(&mut self.chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => {
                    self.received.extend(self.chunk.iter().take(bytes));
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn send(&self, request: &[u8]) -> io::Result<()> {
        let mut left = request;
        while !left.is_empty() {
            match self.stream.try_write(left) {
                Ok(bytes) => left = left.get(bytes..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stream.writable().await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn wrong(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The head of an answer; none while more of it is to come.
fn head(received: &[u8]) -> io::Result<Option<Head>> {
    const END: &[u8] = b"\r\n\r\n";
    let Some(at) = received.windows(END.len()).position(|four| four == END) else {
        return Ok(None);
    };
    let (text, _) = received.split_at(at);
    let text = std::str::from_utf8(text).map_err(|_| wrong("a head that is not text"))?;
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 "))
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| wrong("no status line"))?;
    let body_bytes = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .filter(|bytes| *bytes <= ANSWER_BYTES_MAX)
        .ok_or_else(|| wrong("no `content-length` within bounds"))?;
    Ok(Some(Head {
        status,
        body_at: at + END.len(),
        body_bytes,
    }))
}

#[cfg(test)]
mod tests {
    use super::{Connection, head};
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    #[test]
    fn heads_are_read_or_refused() {
        assert!(head(b"HTTP/1.1 200 OK\r\ncontent-le").unwrap().is_none());
        let read = head(b"HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nabc")
            .unwrap()
            .unwrap();
        assert_eq!((read.status, read.body_at, read.body_bytes), (201, 43, 3));
        for wrong in [
            "HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
        ] {
            assert!(head(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    /// A server that sends one answer in these pieces.
    fn answered(pieces: &'static [&'static str]) -> std::io::Result<(u16, Vec<u8>)> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4];
            stream.read_exact(&mut request).unwrap();
            for piece in pieces {
                stream.write_all(piece.as_bytes()).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        });
        let answer = crate::serve::block_on(async {
            let mut connection = Connection::open(address).await?;
            let answer = connection.exchange(b"ping").await?;
            Ok((answer.status, answer.body.to_vec()))
        });
        server.join().unwrap();
        answer.unwrap()
    }

    #[test]
    fn answers_come_whole_however_they_are_cut() {
        let cut = &["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n", "\r\nab", "cde"];
        assert_eq!(answered(cut).unwrap(), (200, b"abcde".to_vec()));
        let short = &["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"];
        assert!(answered(short).is_err());
        let long = &["HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab"];
        assert!(answered(long).is_err());
    }
}
