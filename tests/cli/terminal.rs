//! The program in a real terminal: tmux, which also breaks lines anew when it becomes narrower.

use crate::place::{ENDLESS, Place, skipped, wait_until};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// The widths that people have.
const WIDTHS: [usize; 5] = [40, 60, 80, 120, 200];

/// A terminal of 40 rows in which a command runs.
struct Tmux<'a> {
    place: &'a Place,
}

impl Tmux<'_> {
    /// Starts a terminal; none if there is no tmux.
    fn start<'a>(place: &'a Place, columns: usize, command: &str) -> Option<Tmux<'a>> {
        if Command::new("tmux").arg("-V").output().is_err() {
            skipped("a real terminal", "there is no tmux");
            return None;
        }
        let terminal = Tmux { place };
        // The end stays on the screen, after Ctrl-C as well.
        let script = format!("trap : INT; {command}; echo \"<exit $?>\"; exec sleep 100");
        let size = ["-x", &columns.to_string(), "-y", "40"];
        terminal.tmux(&[&["new-session", "-d"], &size[..], &[&script]].concat());
        Some(terminal)
    }

    /// A command of tmux, with a server of its own.
    fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.args(["-u", "-f", "/dev/null", "-S"]).arg(self.place.path("tmux.socket")).args(arguments);
        command
            .current_dir(self.place.path(""))
            .env("GOMP_SPINCOUNT", "2000")
            .env("HOME", self.place.path(""));
        command.env("SHELL", "/bin/sh").env_remove("TMUX").env_remove("NO_COLOR");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }

    /// The lines that are and were on the screen, as the terminal has broken them.
    fn lines(&self) -> Vec<String> {
        self.tmux(&["capture-pane", "-p", "-S", "-"]).trim_end().lines().map(str::to_string).collect()
    }

    fn wait_for(&self, text: &str) {
        wait_until(text, || self.lines().iter().any(|line| line.contains(text)));
    }

    fn resize(&self, columns: usize) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", "40"]);
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

fn fitch(arguments: &str) -> String {
    format!("{} {arguments}", env!("CARGO_BIN_EXE_fitch"))
}

/// Words that are more or less than a number: `0.84` of `0.8472` would be one, were a line broken there.
fn numbers(line: &str) -> Vec<f64> {
    line.split_whitespace().filter_map(|word| word.trim_end_matches('*').parse().ok()).collect()
}

/// At 80 columns every epoch was broken within a number.
#[test]
fn everything_fits_at_every_width() {
    let places = WIDTHS.map(|_| Place::new());
    let train = fitch("train --threads 1 --layers 'dense 32' --epochs 3 --out runs/of-the-digits");
    let then = [fitch("runs"), fitch("evaluate runs/of-the-digits --threads 1")].join("; ");
    for (columns, place) in WIDTHS.into_iter().zip(&places) {
        let Some(terminal) = Tmux::start(place, columns, &format!("{train}; {then}")) else { return };
        terminal.wait_for("<exit 0>");
        let lines = terminal.lines();
        // The lines as they were printed.
        let printed = terminal.tmux(&["capture-pane", "-p", "-J", "-S", "-"]);
        assert_eq!(
            printed.trim_end().lines().count(),
            lines.len(),
            "{columns}, broken by the terminal: {lines:#?}"
        );
        let head = lines.iter().position(|line| line.starts_with("epoch ")).unwrap();
        let names: Vec<&str> = lines[head].split_whitespace().collect();
        let history = place.history("runs/of-the-digits");
        for (row, recorded) in lines[head + 1..].iter().zip(&history[1..]) {
            for (name, shown) in names.iter().skip(1).zip(numbers(row)) {
                let Some(column) = history[0].iter().position(|known| known == *name) else { continue };
                let value: f64 = recorded[column].parse().unwrap();
                assert!((value - shown).abs() < 0.0006, "{columns}: {name} is {value} in {row}");
            }
            assert!(row.contains("/3"), "{lines:#?}");
        }
        for part in ["val_loss", "written to runs/of-the-digits (", "epoch", "precision"] {
            assert!(lines.iter().any(|line| line.contains(part)), "{columns}: no {part} in {lines:#?}");
        }
        assert!(!lines.iter().any(|line| line.contains("testing") || line.contains('━')), "{lines:#?}");
    }
}

/// The layout was that of the beginning of the epoch, and copies of the line were left.
#[test]
fn the_line_follows_the_width_and_leaves_nothing_behind() {
    let place = Place::new();
    let train = format!("{} --out run", ENDLESS.join(" ").replace("dense 200", "'dense 200'"));
    let Some(terminal) = Tmux::start(&place, 120, &fitch(&train)) else { return };
    let live = || -> Vec<String> {
        terminal.lines().into_iter().filter(|line| line.contains('━') || line.contains('─')).collect()
    };
    terminal.wait_for("/step");
    for columns in [60, 50, 200, 80] {
        terminal.resize(columns);
        let fits = |line: &String| {
            let width = line.chars().count();
            line.contains("left") && width < columns && (columns < 100 || width > 80)
        };
        wait_until("line of the new width", || live().last().is_some_and(fits));
        // A copy would stay.
        sleep(Duration::from_millis(300));
        let lines = live();
        assert_eq!(lines.len(), 1, "{columns}: {lines:#?}");
        assert!(lines[0].starts_with("epoch ") && fits(&lines[0]), "{columns}: {lines:#?}");
    }
    terminal.tmux(&["send-keys", "C-c"]);
    terminal.wait_for("<exit 130>");
    assert!(live().iter().all(|line| !line.starts_with("epoch")), "{:#?}", terminal.lines());
}

#[test]
fn a_watched_run_is_shown_live_until_q() {
    let place = Place::new();
    let watch = format!("until test -e run/run.json; do sleep 0.1; done; {}", fitch("watch run"));
    let Some(terminal) = Tmux::start(&place, 80, &watch) else { return };
    let mut command = place.command(&[&ENDLESS[..], &["--out", "run"]].concat());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let has = |is_live: bool| {
        let lines = terminal.lines();
        lines.iter().any(|line| line.contains("/9999 ") && line.starts_with("epoch ") == is_live)
    };
    wait_until("finished epoch", || has(false));
    wait_until("epoch in progress", || has(true));
    terminal.tmux(&["send-keys", "q"]);
    terminal.wait_for("<exit 0>");
    assert!(!terminal.lines().iter().any(|line| line.contains('━')), "{:#?}", terminal.lines());
    assert_eq!(child.try_wait().unwrap(), None, "the training goes on");
    // The keyboard is as it was: what is typed is shown.
    terminal.tmux(&["send-keys", "typed"]);
    terminal.wait_for("typed");
    child.kill().unwrap();
    child.wait().unwrap();
}
