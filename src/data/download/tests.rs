use super::*;
use flate2::{Compression, write::GzEncoder};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

/// What the server sends: a status line's number, further headers, and a body that may be shorter than
/// the length it promises.
struct Reply {
    status: u16,
    content_range: Option<String>,
    promised_length: usize,
    body: Vec<u8>,
}

impl Reply {
    fn whole(body: &[u8]) -> Reply {
        Reply { status: 200, content_range: None, promised_length: body.len(), body: body.to_vec() }
    }

    fn rest(file: &[u8], start: usize) -> Reply {
        let content_range = Some(format!("bytes {start}-{}/{}", file.len() - 1, file.len()));
        Reply { status: 206, content_range, ..Reply::whole(&file[start..]) }
    }

    fn status(status: u16) -> Reply {
        Reply { status, ..Reply::whole(b"a page for people") }
    }

    /// Only the first bytes come, then the connection ends.
    fn broken_after(self, length: usize) -> Reply {
        Reply { body: self.body[..length].to_vec(), ..self }
    }
}

/// A server on this machine. `answer` is given the byte from which on a file is asked for.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<Option<usize>>>>,
}

impl Server {
    fn start(answer: impl Fn(Option<usize>) -> Reply + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/file.gz", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let start = read_request(&connection);
                log.lock().unwrap().push(start);
                let Reply { status, content_range, promised_length, body } = answer(start);
                let range =
                    content_range.map_or(String::new(), |range| format!("Content-Range: {range}\r\n"));
                let head = format!(
                    "HTTP/1.1 {status} Told\r\nContent-Length: {promised_length}\r\n{range}Connection: close\r\n\r\n"
                );
                // A client that has heard enough may be gone.
                let _ = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(&body));
            }
        });
        Server { address, asked }
    }

    fn asked(&self) -> Vec<Option<usize>> {
        self.asked.lock().unwrap().clone()
    }
}

fn read_request(connection: &TcpStream) -> Option<usize> {
    let lines = BufReader::new(connection).lines().map_while(Result::ok);
    let head: Vec<String> =
        lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect();
    let range = head.iter().find_map(|line| line.strip_prefix("range: bytes="))?;
    range.trim_end_matches('-').parse().ok()
}

/// Some hundred kilobytes that do not compress.
fn content() -> Vec<u8> {
    let mut state = 1u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(300_000).collect()
}

fn gzip(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn digest_of(bytes: &[u8]) -> &'static str {
    sha256(&mut &bytes[..]).unwrap().leak()
}

/// A folder and a file in it that is to be fetched.
fn destination() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("set").join("file.gz");
    (folder, file)
}

fn part_of(destination: &Path) -> PathBuf {
    destination.with_extension("gz.part")
}

fn fetch_quietly(addresses: &[&Server], destination: &Path, digest: Digest) -> Result<()> {
    let addresses: Vec<String> = addresses.iter().map(|server| server.address.clone()).collect();
    fetch(&addresses, destination, &digest, &mut |_| ())
}

#[test]
fn a_file_is_fetched_checked_and_put_in_place() {
    let file = content();
    let (_folder, destination) = destination();
    let server = Server::start({
        let file = file.clone();
        move |_| Reply::whole(&file)
    });
    let mut events = Vec::new();
    let digest = Digest::OfFile(digest_of(&file));
    fetch(std::slice::from_ref(&server.address), &destination, &digest, &mut |event| events.push(event))
        .unwrap();
    assert_eq!(fs::read(&destination).unwrap(), file);
    assert!(!part_of(&destination).exists());
    assert_eq!(events.first(), Some(&Progress::Started { address: server.address.clone() }));
    assert_eq!(events.last(), Some(&Progress::Finished));
    let length = file.len() as u64;
    assert!(events.contains(&Progress::Received { bytes: length, of: Some(length) }));
}

#[test]
fn a_digest_of_the_content_holds_however_it_was_compressed() {
    let content = content();
    for level in [1, 9] {
        let (_folder, destination) = destination();
        let file = gzip(&content, level);
        let server = Server::start(move |_| Reply::whole(&file));
        fetch_quietly(&[&server], &destination, Digest::OfContent(digest_of(&content))).unwrap();
    }
}

#[test]
fn the_rest_is_asked_for_after_a_break() {
    let file = content();
    let (_folder, destination) = destination();
    let server = Server::start({
        let file = file.clone();
        move |start| match start {
            None => Reply::whole(&file).broken_after(200_000),
            Some(start) => Reply::rest(&file, start),
        }
    });
    let digest = Digest::OfFile(digest_of(&file));
    let fault = fetch_quietly(&[&server], &destination, digest).unwrap_err().to_string();
    assert!(fault.contains(&server.address) && fault.contains("connection broke"), "{fault}");
    assert!(!destination.exists());
    assert_eq!(fs::metadata(part_of(&destination)).unwrap().len(), 200_000);

    fetch_quietly(&[&server], &destination, digest).unwrap();
    assert_eq!(fs::read(&destination).unwrap(), file);
    assert_eq!(server.asked(), [None, Some(200_000)]);
}

#[test]
fn a_server_that_cannot_resume_sends_the_whole_again() {
    let file = content();
    let (_folder, destination) = destination();
    fs::create_dir_all(destination.parent().unwrap()).unwrap();
    fs::write(part_of(&destination), &file[..1000]).unwrap();
    let server = Server::start({
        let file = file.clone();
        move |_| Reply::whole(&file)
    });
    fetch_quietly(&[&server], &destination, Digest::OfFile(digest_of(&file))).unwrap();
    assert_eq!(fs::read(&destination).unwrap(), file);
    assert_eq!(server.asked(), [Some(1000)]);
}

#[test]
fn a_part_that_was_already_whole_is_only_checked() {
    let file = content();
    let (_folder, destination) = destination();
    fs::create_dir_all(destination.parent().unwrap()).unwrap();
    fs::write(part_of(&destination), &file).unwrap();
    let server = Server::start(|_| Reply::status(416));
    fetch_quietly(&[&server], &destination, Digest::OfFile(digest_of(&file))).unwrap();
    assert_eq!(fs::read(&destination).unwrap(), file);
}

#[test]
fn the_next_mirror_is_tried_and_goes_on_where_the_first_one_broke() {
    let file = content();
    let (_folder, destination) = destination();
    let missing = Server::start(|_| Reply::status(404));
    let breaking = Server::start({
        let file = file.clone();
        move |_| Reply::whole(&file).broken_after(100_000)
    });
    let good = Server::start({
        let file = file.clone();
        move |start| Reply::rest(&file, start.unwrap())
    });
    fetch_quietly(&[&missing, &breaking, &good], &destination, Digest::OfFile(digest_of(&file))).unwrap();
    assert_eq!(fs::read(&destination).unwrap(), file);
    assert_eq!(good.asked(), [Some(100_000)]);
}

#[test]
fn a_wrong_file_is_refused_and_leaves_nothing() {
    let (folder, destination) = destination();
    let server = Server::start(|_| Reply::whole(b"<html>please log in</html>"));
    for digest in [Digest::OfFile(digest_of(b"x")), Digest::OfContent(digest_of(b"x"))] {
        let fault = fetch_quietly(&[&server], &destination, digest).unwrap_err().to_string();
        assert!(fault.contains("not the published one"), "{fault}");
        assert_eq!(fs::read_dir(folder.path().join("set")).unwrap().count(), 0);
    }
    let fault = fetch_quietly(&[&Server::start(|_| Reply::status(503))], &destination, Digest::OfFile("x"));
    assert!(fault.unwrap_err().to_string().contains("status 503"));
    assert_eq!(fs::read_dir(folder.path().join("set")).unwrap().count(), 0);
}

#[test]
fn another_part_than_asked_for_is_refused() {
    let file = content();
    let (_folder, destination) = destination();
    fs::create_dir_all(destination.parent().unwrap()).unwrap();
    fs::write(part_of(&destination), &file[..1000]).unwrap();
    let digest = Digest::OfFile(digest_of(&file));
    let server = Server::start(move |_| Reply::rest(&file, 0));
    let fault = fetch_quietly(&[&server], &destination, digest).unwrap_err().to_string();
    assert!(fault.contains("another part"), "{fault}");
    assert_eq!(fs::metadata(part_of(&destination)).unwrap().len(), 1000, "what was there is kept");
}

#[test]
fn too_large_a_file_is_refused_before_it_comes() {
    let (_folder, destination) = destination();
    let server = Server::start(|_| Reply { promised_length: 1 << 40, ..Reply::whole(b"x") });
    let fault = fetch_quietly(&[&server], &destination, Digest::OfFile("x")).unwrap_err().to_string();
    assert!(fault.contains("too many"), "{fault}");
}

#[test]
fn two_at_once_fetch_it_once() {
    let file = content();
    let (_folder, destination) = destination();
    let server = Server::start({
        let file = file.clone();
        move |_| {
            thread::sleep(Duration::from_millis(100));
            Reply::whole(&file)
        }
    });
    let digest = Digest::OfFile(digest_of(&file));
    thread::scope(|scope| {
        let fetches = [(); 4].map(|()| scope.spawn(|| fetch_quietly(&[&server], &destination, digest)));
        fetches.into_iter().for_each(|fetch| fetch.join().unwrap().unwrap());
    });
    assert_eq!(fs::read(&destination).unwrap(), file);
    assert_eq!(server.asked(), [None]);
    assert_eq!(fs::read_dir(destination.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn who_waited_for_one_that_failed_tries_on_its_own() {
    let file = content();
    let (_folder, destination) = destination();
    let answers = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start({
        let file = file.clone();
        move |_| {
            thread::sleep(Duration::from_millis(100));
            match answers.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0 => Reply::status(500),
                _ => Reply::whole(&file),
            }
        }
    });
    let digest = Digest::OfFile(digest_of(&file));
    let failed = thread::scope(|scope| {
        let fetches = [(); 3].map(|()| scope.spawn(|| fetch_quietly(&[&server], &destination, digest)));
        fetches.into_iter().map(|fetch| fetch.join().unwrap()).filter(Result::is_err).count()
    });
    assert_eq!(failed, 1);
    assert_eq!(fs::read(&destination).unwrap(), file);
    assert_eq!(fs::read_dir(destination.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let (folder, destination) = destination();
    let address = "http://127.0.0.1:1/file.gz".to_string();
    let fault = fetch(&[address], &destination, &Digest::OfFile("x"), &mut |_| ()).unwrap_err().to_string();
    assert!(fault.contains("http://127.0.0.1:1/file.gz: "), "{fault}");
    assert_eq!(fs::read_dir(folder.path().join("set")).unwrap().count(), 0);
}
