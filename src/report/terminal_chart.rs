//! Curves as lines of text, for a terminal.

use super::axis::{Axis, Scale, range};
use super::history_curves::HistoryCurves;

/// Draws a metric's training (`•`) and validation (`○`) of a run, `◉` where both meet, in `rows` rows of at most
/// `columns` characters, with the best epoch marked below. The text is empty if there is nothing to draw.
pub fn terminal_chart(
    curves: &HistoryCurves,
    metric: &str,
    scale: Scale,
    columns: usize,
    rows: usize,
) -> String {
    let validation = format!("val_{metric}");
    let series: Vec<(&[Option<f64>], char)> = [(metric, '•'), (validation.as_str(), '○')]
        .into_iter()
        .filter_map(|(name, sign)| Some((curves.values(name)?, sign)))
        .collect();
    let values: Vec<f64> = series.iter().flat_map(|(values, _)| values.iter().flatten().copied()).collect();
    let (Some(&first), Some(&last)) = (curves.epochs.first(), curves.epochs.last()) else {
        return String::new();
    };
    let Some((min, max)) = range(values.iter().copied()).filter(|_| rows > 1) else { return String::new() };
    let ticks = (rows / 3).max(2);
    let axis = match scale.is_logarithmic(&values) {
        true => Axis::logarithmic(min, max, ticks),
        false => Axis::covering(min, max, ticks),
    };
    let labels: Vec<String> = axis.ticks.iter().map(|&tick| axis.label(tick)).collect();
    let margin = labels.iter().map(String::len).max().unwrap_or_default();
    let width = columns.saturating_sub(margin + 3).clamp(8, 100);

    let row_of = |value: f64| ((1.0 - axis.position(value)) * (rows - 1) as f64).round() as usize;
    let column_of = |epoch: f64| {
        let along = if last > first { (epoch - first) / (last - first) } else { 0.5 };
        (along * (width - 1) as f64).round() as usize
    };
    let mut cells = vec![vec![' '; width]; rows];
    for (values, sign) in &series {
        // Of several epochs in one column the last one is drawn.
        let mut places = vec![None; width];
        for (&epoch, value) in curves.epochs.iter().zip(*values) {
            places[column_of(epoch)] = value.map(row_of).or(places[column_of(epoch)]);
        }
        for (column, row) in places.into_iter().enumerate() {
            let Some(row) = row else { continue };
            cells[row][column] = if cells[row][column] == ' ' { *sign } else { '◉' };
        }
    }
    let mut labelled = vec![String::new(); rows];
    for (tick, label) in axis.ticks.iter().zip(labels) {
        labelled[row_of(*tick)] = label;
    }
    let mut legend: Vec<String> = series
        .iter()
        .map(|(_, sign)| format!("{sign} {}", if *sign == '•' { metric } else { &validation }))
        .collect();
    if cells.iter().flatten().any(|&cell| cell == '◉') {
        legend.push("◉ both".to_string());
    }
    let mut bottom = vec!['─'; width];
    if let Some((epoch, _)) = &curves.best {
        bottom[column_of(*epoch)] = '▲';
        legend.push(format!("▲ best epoch {epoch}"));
    }
    let mut text = String::new();
    let mut line = 0;
    for part in legend {
        let length = part.chars().count();
        // The legend goes on below where a line is full.
        if line == 0 || margin + line + 3 + length > columns {
            text += if line == 0 { "" } else { "\n" };
            text += &" ".repeat(margin);
            line = 0;
        }
        text += &format!("   {part}");
        line += 3 + length;
    }
    text.push('\n');
    for (label, row) in labelled.iter().zip(&cells) {
        let line: String = row.iter().collect();
        let edge = if label.is_empty() { '│' } else { '┤' };
        text += format!("{label:>margin$} {edge}{line}").trim_end();
        text.push('\n');
    }
    let ends = format!(
        "{first}{:>rest$}",
        format!("epoch {last}"),
        rest = width - first.to_string().len().min(width)
    );
    let bottom: String = bottom.into_iter().collect();
    text + &format!("{:margin$} └{bottom}\n{:margin$}  {ends}\n", "", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves(loss: &[Option<f64>], val_loss: &[Option<f64>]) -> HistoryCurves {
        let metrics = [("loss".to_string(), loss.to_vec()), ("val_loss".to_string(), val_loss.to_vec())];
        HistoryCurves {
            epochs: (1..=loss.len()).map(|epoch| epoch as f64).collect(),
            best: Some((loss.len() as f64, "val_loss".to_string())),
            metrics: metrics.into(),
            ..HistoryCurves::default()
        }
    }

    #[test]
    fn both_curves_are_drawn_with_their_scale() {
        let curves = curves(&[Some(1.0), Some(0.5), Some(0.0)], &[Some(0.5), Some(0.5), Some(0.5)]);
        let text = terminal_chart(&curves, "loss", Scale::Linear, 24, 5);
        assert_eq!(
            text,
            "      • loss\n\
             \u{20}     ○ val_loss\n\
             \u{20}     ◉ both\n\
             \u{20}     ▲ best epoch 3\n\
             1.0 ┤•\n\
             \u{20}   │\n\
             0.5 ┤○        ◉       ○\n\
             \u{20}   │\n\
             0.0 ┤                 •\n\
             \u{20}   └─────────────────▲\n\
             \u{20}    1          epoch 3\n"
        );
    }

    #[test]
    fn one_epoch_hundreds_and_gaps_fit() {
        let one = terminal_chart(&curves(&[Some(0.5)], &[None]), "loss", Scale::Auto, 60, 8);
        assert!(
            one.contains("• loss   ▲ best epoch 1\n")
                && !one.contains("val_loss")
                && one.matches('•').count() == 2
        );
        let many: Vec<Option<f64>> =
            (0..400).map(|epoch| (epoch % 7 != 0).then(|| 1.0 / f64::from(epoch + 1))).collect();
        let text = terminal_chart(&curves(&many, &many), "loss", Scale::Auto, 60, 8);
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert_eq!(terminal_chart(&curves(&[None], &[None]), "loss", Scale::Auto, 60, 8), "");
    }
}
