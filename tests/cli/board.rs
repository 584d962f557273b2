//! The board: what it answers, to whom, and what a browser shows of it while a training runs.

use crate::browser::browser;
use crate::place::{Place, wait_until};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Board {
    address: String,
    _process: Running,
}

impl Board {
    fn start(place: &Place, arguments: &[&str]) -> Board {
        let arguments = [&["board", ".", "--port", "0", "--no-open"], arguments].concat();
        let mut child =
            place.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Board { address: address.trim().to_string(), _process: Running(child) }
    }

    /// The port and the path that the address has.
    fn parts(&self) -> (u16, &str) {
        let (host, path) = self.address.strip_prefix("http://").unwrap().split_once('/').unwrap();
        (host.rsplit_once(':').unwrap().1.parse().unwrap(), path)
    }

    /// Sends a request as it is and gives the whole answer.
    fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.parts().0)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str) -> String {
        self.send(&format!("GET /{}{path} HTTP/1.1\r\nHost: localhost\r\n\r\n", self.parts().1))
    }

    /// What is answered with success, as JSON.
    fn json(&self, path: &str) -> serde_json::Value {
        let answer = self.get(path);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    fn run(&self, id: &str) -> serde_json::Value {
        let runs = self.json("runs?since=0");
        runs["runs"].as_array().unwrap().iter().find(|run| run["id"] == id).cloned().unwrap_or_default()
    }
}

fn start_training(place: &Place) -> Running {
    let endless = ["train", "--threads", "1", "--epochs", "1000000", "--no-early-stopping", "--out", "live"];
    let mut command = place.command(&endless);
    let running = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    wait_until("epoch", || epochs(place) > 1);
    running
}

fn epochs(place: &Place) -> u64 {
    let history = fs::read_to_string(place.path("live/history.csv")).unwrap_or_default();
    (history.lines().count() as u64).saturating_sub(1)
}

#[test]
fn every_epoch_is_told_at_once_and_only_what_has_changed() {
    let place = Place::new();
    for (run, rate) in [("sweep/001", "0.001"), ("sweep/002", "0.003")] {
        place.train_quickly(run, &["--learning-rate", rate]).well();
    }
    let board = Board::start(&place, &[]);
    let all = board.json("runs?since=0");
    assert_eq!(all["runs"].as_array().unwrap().len(), 2);
    let second = board.run("sweep/002");
    let record = place.record("sweep/002");
    assert_eq!((&second["state"], &second["group"]), (&"completed".into(), &"sweep".into()));
    assert_eq!(second["options"], serde_json::json!({ "learning_rate": 0.003 }));
    assert_eq!(
        (&second["test_accuracy"], &second["best"]),
        (&record["test_accuracy"], &record["best_value"])
    );
    let since = format!("runs?since={}", all["version"]);
    assert_eq!(board.json(&since)["runs"].as_array().unwrap().len(), 0);

    let training = start_training(&place);
    wait_until("new run", || board.run("live")["state"] == "running");
    let before = epochs(&place);
    let live = board.run("live");
    assert!(live["epochs"].as_u64().unwrap() >= before && before > 0, "{live} before {before}");
    let news = board.json(&since);
    let changed: Vec<&str> =
        news["runs"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap()).collect();
    assert_eq!(changed, ["live"]);
    let curves = board.json("curves?run=sweep%2F002");
    assert_eq!(curves["epochs"], serde_json::json!([1, 2, 3]));
    assert_eq!(curves["metrics"]["val_loss"].as_array().unwrap().len(), 3);
    assert!(board.get("run?run=live").contains("Training has not ended"));
    drop(training);
    fs::remove_dir_all(place.path("live")).unwrap();
    wait_until("end", || board.json(&since)["removed"] == serde_json::json!(["live"]));
    assert!(!place.names("sweep/001").iter().any(|name| name.contains("lock")), "the board has written");
}

#[test]
fn it_shows_nothing_else_and_to_nobody_else() {
    let place = Place::new();
    place.train_quickly("runs/good", &[]).well();
    place.write(".", "secret.txt", b"secret");
    fs::create_dir(place.path("runs/linked")).unwrap();
    fs::copy(place.path("runs/good/run.json"), place.path("runs/linked/run.json")).unwrap();
    #[cfg(unix)]
    for name in ["history.csv", "report.html"] {
        std::os::unix::fs::symlink(place.path("secret.txt"), place.path("runs/linked").join(name)).unwrap();
    }
    let board = Board::start(&place, &["--host", "localhost"]);
    assert_eq!(board.parts().1, "", "a token where nobody else can ask");
    assert_eq!(board.run("runs/good")["state"], "completed");
    let status = |answer: String| answer.split(' ').nth(1).unwrap().to_string();
    for path in [
        "../secret.txt",
        "secret.txt",
        "run?run=..",
        "run?run=runs",
        "curves?run=%2Fetc",
        "run",
        "run?run=runs%2Fgood%2F..%2Fgood",
    ] {
        assert_eq!(status(board.get(path)), "404", "{path}");
    }
    for path in ["run?run=runs%2Flinked", "curves?run=runs%2Flinked"] {
        let answer = board.get(path);
        assert!(answer.starts_with("HTTP/1.1 500 ") && !answer.contains("secret"), "{answer}");
    }
    // The page that lies in a folder may not ask the board for anything.
    let page = board.get("run?run=runs%2Fgood");
    assert!(page.contains("Content-Security-Policy: sandbox allow-scripts; default-src 'none'"), "{page}");
    for (request, answer) in [
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421"),
        ("GET /runs?since=0 HTTP/1.1\r\nHost: 203.0.113.7\r\n\r\n", "421"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", "405"),
        ("nonsense\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n", "200"),
    ] {
        assert_eq!(status(board.send(request)), answer, "{request}");
    }
    place.run(&["board", "nowhere"]).with_fault(1, &["there is no folder nowhere"]);
}

#[test]
fn others_than_this_machine_need_the_token() {
    let place = Place::new();
    place.train_quickly("run", &[]).well();
    let board = Board::start(&place, &["--host", "0.0.0.0"]);
    let token = board.parts().1.trim_end_matches('/');
    assert_eq!(token.len(), 32, "{}", board.address);
    let without = board.send("GET /runs?since=0 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(without.starts_with("HTTP/1.1 403 ") && !without.contains("completed"), "{without}");
    assert_eq!(board.run("run")["state"], "completed");
}

#[test]
fn a_browser_shows_the_runs_while_one_is_in_progress() {
    let Some(browser) = browser("a_browser_shows_the_runs_while_one_is_in_progress") else { return };
    let place = Place::new();
    for (run, rate) in [("sweep/001", "0.001"), ("sweep/002<b>&\"", "0.003")] {
        place.train_quickly(run, &["--learning-rate", rate]).well();
    }
    let _training = start_training(&place);
    let board = Board::start(&place, &[]);
    let page = browser.open(&board.address, 3_000);
    assert!(page.console.is_empty(), "{:?}", page.console);
    let body = page.html.split("<body").nth(1).unwrap();
    for part in ["3 runs, 1 in progress", "text running", ">live</a>", "class=\"curve\"", "Loss (validation)"]
    {
        assert!(body.contains(part), "no {part} in {body}");
    }
    // Chosen by the address: a folder with the options that differ in it, and one of its runs.
    let page = browser.open(&format!("{}#folder=sweep&run=sweep%2F001", board.address), 3_000);
    assert!(page.console.is_empty(), "{:?}", page.console);
    for part in ["learning-rate</button>", ">0.003</td>", "<tr hidden=\"\">", "sweep/002&lt;b&gt;&amp;\"</a>"]
    {
        assert!(page.html.contains(part), "no {part} in {}", page.html);
    }
    for run in ["live", "sweep%2F001"] {
        let page = browser.open(&format!("{}run?run={run}", board.address), 3_000);
        assert!(page.console.is_empty(), "{run}: {:?}", page.console);
        assert!(page.html.contains("class=\"curve validation\""), "{run}");
    }
}

#[test]
fn the_page_of_a_running_training_follows_it() {
    let Some(browser) = browser("the_page_of_a_running_training_follows_it") else { return };
    let place = Place::new();
    let _training = start_training(&place);
    let board = Board::start(&place, &[]);
    let mut page = browser.live(&format!("{}run?run=live", board.address), 380, 800);
    page.value("globalThis.isSamePage = true; document.querySelector('#history th button').click()");
    page.value("document.querySelector('#history th button').click()");
    let rows = "[...document.querySelectorAll('#history tbody th')].map(cell => parseInt(cell.textContent))";
    let newest = page.value(&format!("{rows}[0]")).as_u64().unwrap();
    page.wait_for(&format!("{rows}[0] > {}", newest + 1));
    let shown = page.value(rows);
    let shown: Vec<u64> = shown.as_array().unwrap().iter().map(|epoch| epoch.as_u64().unwrap()).collect();
    assert!(shown.is_sorted_by(|one, other| one > other), "the order is lost: {shown:?}");
    assert_eq!(page.value("isSamePage"), true, "loaded anew");
    // A phone has room for it, and for the board.
    let is_wider = "document.scrollingElement.scrollWidth > innerWidth";
    assert_eq!(page.value(is_wider), false);
    assert!(page.faults.is_empty(), "{:?}", page.faults);
    drop(page);
    let mut page = browser.live(&board.address, 380, 800);
    page.wait_for("document.body.textContent.includes('1 in progress')");
    assert_eq!(page.value(is_wider), false);
    assert!(page.faults.is_empty(), "{:?}", page.faults);
}
