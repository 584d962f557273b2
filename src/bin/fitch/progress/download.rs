//! The progress of downloads and of decoding.

use super::ProgressKind;
use crate::bar::{busy_line, part_line};
use crate::live::LiveLine;
use crate::numbers::rough_duration;
use crate::terminal::Terminal;
use fitch::data::Progress;
use fitch::text::{byte_size, with_separators};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Shows how a data set is downloaded and decoded.
pub struct DownloadProgress<'a> {
    terminal: &'a Terminal,
    visible: bool,
    line: Option<(Work, Arc<Mutex<Done>>, LiveLine)>,
}

/// What is being done, as far as there is an amount of it.
#[derive(Clone, Copy, PartialEq)]
enum Work {
    Receiving,
    Decoding,
    Unpacking,
}

#[derive(Clone, Copy)]
struct Done {
    amount: u64,
    of: Option<u64>,
}

impl DownloadProgress<'_> {
    pub fn new(terminal: &Terminal, style: ProgressKind) -> DownloadProgress<'_> {
        DownloadProgress { terminal, visible: style != ProgressKind::None, line: None }
    }

    pub fn show(&mut self, event: Progress) {
        // That nothing happens needs a word even where nothing is displayed.
        if !self.visible && event != Progress::Waiting {
            return;
        }
        match event {
            Progress::Started { address } => self.terminal.say(&format!("fetching {address}")),
            Progress::Waiting => self
                .terminal
                .say("waiting for another fitch that is fetching, unpacking or decoding the same data"),
            Progress::Received { bytes, of } => self.advance(Work::Receiving, bytes, of),
            Progress::Decoded { images, of } => {
                self.advance(Work::Decoding, images as u64, of.map(|of| of as u64));
            }
            Progress::Unpacking { folder } => {
                self.terminal.say(&format!("unpacking into {}", folder.display()));
            }
            Progress::Unpacked { bytes } => self.advance(Work::Unpacking, bytes, None),
            Progress::MirrorFailed { fault, .. } => {
                self.clear();
                self.terminal.warn(&fault);
            }
            Progress::Finished => self.clear(),
        }
    }

    fn advance(&mut self, work: Work, amount: u64, of: Option<u64>) {
        let now = Done { amount, of };
        match &self.line {
            Some((same, done, _)) if *same == work => {
                *done.lock().unwrap_or_else(PoisonError::into_inner) = now;
            }
            _ => {
                self.clear();
                let (done, start) = (Arc::new(Mutex::new(now)), Instant::now());
                let shown = done.clone();
                let line = self.terminal.live(move |columns| {
                    let done = *shown.lock().unwrap_or_else(PoisonError::into_inner);
                    work_line(work, done, start.elapsed().as_secs_f64(), columns)
                });
                self.line = Some((work, done, line));
            }
        }
    }

    fn clear(&mut self) {
        self.line = None;
    }
}

/// A line that names the work and how long it has taken so far.
fn work_line(work: Work, done: Done, seconds: f64, columns: usize) -> String {
    let amount = |amount: u64| match work {
        Work::Decoding => format!("{} images", with_separators(amount as i64)),
        Work::Receiving | Work::Unpacking => byte_size(amount),
    };
    let now = amount(done.amount);
    let Some(of) = done.of.filter(|of| *of > 0) else {
        let what = match work {
            Work::Receiving => "received",
            Work::Decoding => "decoded",
            Work::Unpacking => "unpacked",
        };
        return busy_line(&format!("{what} {now}"), seconds, columns);
    };
    let part = done.amount as f64 / of as f64;
    let left = if done.amount > 0 {
        format!("{} left", rough_duration(seconds / part - seconds))
    } else {
        String::new()
    };
    part_line(part, &[format!("{now} of {}", amount(of)), left], columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_if_the_whole_is_known() {
        let plain = |work, amount, of| {
            let line = work_line(work, Done { amount, of }, 3.0, 60);
            console::strip_ansi_codes(&line).into_owned()
        };
        let half = plain(Work::Receiving, 5 << 20, Some(10 << 20));
        assert!(half.starts_with("━━━") && half.ends_with("───  5.0 MiB of 10 MiB  3 s left"), "{half}");
        assert_eq!(plain(Work::Unpacking, 5 << 20, None), "unpacked 5.0 MiB ... 3 s");
        assert_eq!(plain(Work::Decoding, 12_000, None), "decoded 12,000 images ... 3 s");
    }
}
