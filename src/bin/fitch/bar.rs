//! The line that shows how far a run is, as a pure function of what is known and of the width.

use crate::numbers::{number, rough_duration, step_time};
use console::{Style, measure_text_width};
use fitch::run::{Phase, RunProgress};

/// Between two pieces.
const GAP: usize = 2;
/// A bar is drawn where it has this room; it takes no more than that.
const SHORTEST: usize = 5;
const LONGEST: usize = 40;
/// The room for a time, so that the line does not jump.
const DURATION: usize = 6;

/// A piece of the line.
struct Piece {
    text: String,
    /// Pieces of a low rank have their room first.
    rank: usize,
}

/// The line of a run in at most `columns` columns. Of the phase it is in, `seconds` have passed; `best` are the name
/// of the monitored metric, the best epoch and its value.
pub fn run_line(
    run: &RunProgress,
    seconds: f64,
    best: Option<(&str, (usize, f64))>,
    columns: usize,
) -> String {
    let count = |done: usize, of: usize| format!("{done:>width$}/{of}", width = of.to_string().len());
    let left = |name: &str, seconds: Option<f64>| {
        let time = seconds.map_or(String::new(), |seconds| format!("{name}{} left", rough_duration(seconds)));
        format!("{time:>width$}", width = name.len() + DURATION + " left".len())
    };
    let by_run = run.epochs_are_short;
    let part = if by_run { run.run_part } else { run.step as f64 / run.steps.max(1) as f64 };
    let mut pieces = vec![(format!("epoch {}", count(run.epoch, run.epochs)), 0)];
    let front = pieces.len();
    match run.phase {
        _ if by_run => pieces.push((left("", run.run_left), 1)),
        Phase::Validating => {
            pieces.push((format!("validating{}", elapsed(seconds)), 1));
            pieces.push((left("run ", run.run_left), 4));
        }
        _ => {
            pieces.push((count(run.step, run.steps), 1));
            pieces.push((left("", run.epoch_left), 2));
            pieces.push((left("run ", run.run_left), 4));
        }
    }
    match best {
        Some((name, (epoch, value))) if by_run => {
            pieces.push((format!("best {name} {} in epoch {epoch}", number(value, 4, 6)), 5));
        }
        _ => {}
    }
    if !by_run {
        // The loss says most.
        let metrics = run.metrics.iter().enumerate();
        pieces.extend(metrics.map(|(place, (name, value))| {
            let rank = if name == "loss" { 5 } else { 6 + place };
            (format!("{name} {:>6}", number(*value, 4, 6)), rank)
        }));
    }
    if let Some(seconds) = run.step_seconds {
        pieces.push((format!("{}/step", step_time(seconds)), usize::MAX));
    }
    let pieces = pieces.into_iter().map(|(text, rank)| Piece { text, rank }).collect();
    compose(pieces, front, part, columns)
}

/// The line of work whose end is not known: what is being done, and for how long.
pub fn busy_line(what: &str, seconds: f64, columns: usize) -> String {
    compose(vec![Piece { text: format!("{what}{}", elapsed(seconds)), rank: 0 }], 1, f64::NAN, columns)
}

/// The line of work of which a part is done, with more about it.
pub fn part_line(part: f64, facts: &[String], columns: usize) -> String {
    let pieces = facts.iter().enumerate().map(|(rank, text)| Piece { text: text.clone(), rank }).collect();
    compose(pieces, 0, part, columns)
}

/// ` ... 3 s`, for what takes longer.
fn elapsed(seconds: f64) -> String {
    if seconds < 1.0 { " ...".to_string() } else { format!(" ... {}", rough_duration(seconds.floor())) }
}

/// Puts as many pieces as fit into a line, with a bar after the first `front` ones that shows a part of 1; none if
/// that is not a number.
fn compose(pieces: Vec<Piece>, front: usize, part: f64, columns: usize) -> String {
    /// After the first numbers, before more of them.
    const RANK_OF_BAR: usize = 3;
    let mut ranks: Vec<usize> = (0..pieces.len()).collect();
    ranks.sort_by_key(|&index| pieces[index].rank);
    let mut is_shown = vec![false; pieces.len()];
    let (mut room, mut has_bar) = ((columns + GAP) as isize, part.is_nan());
    let mut bar = None;
    for (place, &index) in ranks.iter().enumerate() {
        let is_last = place + 1 == ranks.len();
        if !has_bar && pieces[index].rank >= RANK_OF_BAR {
            has_bar = true;
            bar = place_bar(&mut room);
        }
        let width = (measure_text_width(&pieces[index].text) + GAP) as isize;
        if width <= room {
            room -= width;
            is_shown[index] = true;
        }
        if !has_bar && is_last {
            bar = place_bar(&mut room);
        }
    }
    let mut parts = Vec::new();
    let shown = |range: std::ops::Range<usize>| {
        let range = range.filter(|&index| is_shown[index]);
        range.map(|index| pieces[index].text.clone()).collect::<Vec<_>>()
    };
    parts.extend(shown(0..front));
    parts.extend(bar.map(|width| drawn_bar(part, (width + room.max(0) as usize).min(LONGEST))));
    parts.extend(shown(front..pieces.len()));
    parts.join("  ")
}

/// Room for the shortest bar, if there is.
fn place_bar(room: &mut isize) -> Option<usize> {
    let width = (SHORTEST + GAP) as isize;
    (*room >= width).then(|| {
        *room -= width;
        SHORTEST
    })
}

fn drawn_bar(part: f64, width: usize) -> String {
    let halves = (part.clamp(0.0, 1.0) * (2 * width) as f64).round() as usize;
    let (whole, half) = (halves / 2, halves % 2);
    let done = "━".repeat(whole) + if half == 1 { "╸" } else { "" };
    let rest = "─".repeat(width - whole - half);
    format!("{}{rest}", Style::new().green().for_stderr().apply_to(done))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> RunProgress {
        RunProgress {
            epoch: 12,
            epochs: 100,
            step: 211,
            steps: 422,
            epoch_left: Some(4.2),
            run_part: 0.115,
            run_left: Some(720.0),
            step_seconds: Some(0.0166),
            metrics: [("accuracy".to_string(), 0.96741), ("loss".to_string(), 0.10234)].into(),
            ..RunProgress::default()
        }
    }

    fn plain(line: String) -> String {
        console::strip_ansi_codes(&line).into_owned()
    }

    #[test]
    fn the_line_of_an_epoch_has_what_there_is_room_for() {
        let lines = [20, 40, 60, 80, 120].map(|columns| plain(run_line(&run(), 0.0, None, columns)));
        assert_eq!(
            lines,
            [
                "epoch  12/100  ━━╸──",
                "epoch  12/100  211/422     4 s left",
                "epoch  12/100  ━━━───  211/422     4 s left  run 12 min left",
                "epoch  12/100  ━━━━━━╸──────  211/422     4 s left  run 12 min left  loss 0.1023",
                "epoch  12/100  ━━━━━━━━━━━───────────  211/422     4 s left  run 12 min left  accuracy 0.9674  loss 0.1023  \
                 16.6 ms/step",
            ]
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let short = RunProgress { epochs_are_short: true, ..run() };
        let validating = RunProgress { phase: Phase::Validating, step: 422, ..run() };
        let best = Some(("val_loss", (10, 0.1)));
        for columns in 14..=250 {
            for run in [&run(), &short, &validating, &RunProgress::default()] {
                let line = run_line(run, 3.0, best, columns);
                assert!(measure_text_width(&line) <= columns, "{columns}: {line}");
                let line =
                    part_line(0.3, &["1.2 MiB of 9.9 MiB".to_string(), "4 s left".to_string()], columns);
                assert!(measure_text_width(&line) <= columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn short_epochs_have_one_bar_for_the_run() {
        let run = RunProgress { epochs_are_short: true, run_left: Some(9.0), ..run() };
        let line = plain(run_line(&run, 0.0, Some(("val_loss", (10, 0.1))), 80));
        assert_eq!(line, "epoch  12/100  ━━────────────────     9 s left  best val_loss 0.1000 in epoch 10");
    }

    #[test]
    fn validation_is_told_with_its_time() {
        let run = RunProgress { phase: Phase::Validating, step: 422, ..run() };
        assert!(plain(run_line(&run, 0.4, None, 80)).contains("  validating ...  "));
        assert!(plain(run_line(&run, 3.9, None, 80)).contains("  validating ... 3 s  "));
        assert_eq!(busy_line("testing", 12.2, 80), "testing ... 12 s");
    }
}
