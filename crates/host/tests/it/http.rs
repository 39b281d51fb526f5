//! As much of HTTP as the gate for tests needs: one request a connection.

use crate::gate::State;
use serde_json::Value;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;

/// Answers one request. A client that was killed before it had asked is no request.
pub fn serve(state: &Mutex<State>, stream: TcpStream) {
    let mut reader = BufReader::new(stream);
    let Ok((first, body)) = request(&mut reader) else {
        return;
    };
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (status, answer) = state.lock().unwrap().answer(method, path, &body);
    let answer = answer.to_string();
    let _ = write!(
        reader.into_inner(),
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
        answer.len()
    );
}

/// A whole request: its first line, and its body.
fn request(reader: &mut BufReader<TcpStream>) -> io::Result<(String, Vec<u8>)> {
    let first = line(reader)?;
    let mut length = 0;
    loop {
        let line = line(reader)?.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((first, body))
}

fn line(reader: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    match line.ends_with('\n') {
        true => Ok(line),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
