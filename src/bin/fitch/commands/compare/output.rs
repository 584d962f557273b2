//! What is printed: a table and sentences, CSV, JSON.

use super::comparison::{Comparison, Pair};
use crate::commands::json::json_text;
use crate::commands::table::table;
use crate::wrap::wrap_to;
use anyhow::{Context, Result};
use fitch::text::{counted, with_separators};
use serde_json::{Value, json};

/// The models with their results, by letters, then what the tests say.
pub fn as_table(comparison: &Comparison, dataset: &str, columns: Option<usize>) -> String {
    let rows = comparison.candidates.iter().enumerate().map(|(index, candidate)| {
        let interval = candidate.accuracy_interval();
        vec![
            format!("{}: {}", letter(index), candidate.name),
            with_separators(candidate.right() as i64),
            format!("{:.4}", candidate.accuracy),
            interval.map_or("-".to_string(), |interval| format!("{interval:.4}")),
        ]
    });
    let models = table(["model", "right", "accuracy", "95 % interval"], rows.collect());
    let head = format!("test set of {dataset}: {}", counted(comparison.truths.len(), "image"));
    let tests = match &comparison.pairs[..] {
        [pair] => wrap_to(&format!("{}\n", in_words(pair)), columns),
        pairs => of_pairs(pairs, columns),
    };
    format!("{head}\n\n{}\n{tests}", models.first(&["model", "accuracy", "95 % interval"]).fit(columns))
}

/// What the test of two models says.
fn in_words(pair: &Pair) -> String {
    let (a, b) = (letter(pair.a), letter(pair.b));
    let (a_only, b_only) = (pair.test.a_only, pair.test.b_only);
    let p_value = p_text(pair.p_value);
    if a_only + b_only == 0 {
        return format!(
            "{a} and {b} are right on the same images: no evidence of a difference (p {p_value})"
        );
    }
    let images = counted(b_only, "image");
    let counts = format!("{b} is right on {images} where {a} is wrong, {a} on {a_only} where {b} is wrong");
    match pair.better() {
        Some(better) => format!("{counts}: evidence that {} is better (p {p_value})", letter(better)),
        None => format!("{counts}: no evidence of a difference (p {p_value})"),
    }
}

/// A row for each pair.
fn of_pairs(pairs: &[Pair], columns: Option<usize>) -> String {
    let plain = |p_value: f64| p_text(p_value).trim_start_matches("= ").to_string();
    let rows = pairs.iter().map(|pair| {
        let evidence =
            pair.better().map_or("none".to_string(), |better| format!("{} is better", letter(better)));
        vec![
            format!("{}, {}", letter(pair.a), letter(pair.b)),
            with_separators(pair.test.a_only as i64),
            with_separators(pair.test.b_only as i64),
            plain(pair.p_value),
            plain(pair.corrected),
            evidence,
        ]
    });
    let head = ["pair", "first alone right", "second alone right", "p", "corrected p", "evidence"];
    let note = format!(
        "p: McNemar's exact test; corrected for {} by Holm's method, which the last column goes by\n",
        counted(pairs.len(), "comparison")
    );
    let first = ["pair", "evidence", "corrected p", "first alone right", "second alone right"];
    let pairs = table(head, rows.collect()).first(&first);
    format!("{}\n{}", pairs.fit(columns), wrap_to(&note, columns))
}

/// What a model is called in the table: A to Z, then AA and so on.
pub fn letter(index: usize) -> String {
    let last = char::from(b'A' + (index % 26) as u8);
    match index / 26 {
        0 => last.to_string(),
        more => letter(more - 1) + &last.to_string(),
    }
}

/// A p-value with two digits that count: `= 0.27`, `= 0.0034`, `< 0.0001`.
fn p_text(p_value: f64) -> String {
    let digits = match p_value {
        p if p < 0.000_1 => return "< 0.0001".to_string(),
        p if p >= 0.995 => 0,
        p => (1.0 - p.log10().floor()) as usize,
    };
    format!("= {p_value:.digits$}")
}

/// A row for each pair.
pub fn as_csv(comparison: &Comparison) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["a", "b", "a_only", "b_only", "p_value", "p_value_holm"])?;
    for pair in &comparison.pairs {
        writer.write_record([
            comparison.candidates[pair.a].name.as_str(),
            &comparison.candidates[pair.b].name,
            &pair.test.a_only.to_string(),
            &pair.test.b_only.to_string(),
            &pair.p_value.to_string(),
            &pair.corrected.to_string(),
        ])?;
    }
    String::from_utf8(writer.into_inner()?).context("a name is not UTF-8")
}

/// All of it; of two models, the counts and the p-value at the top as well.
pub fn as_json(comparison: &Comparison, dataset: &str) -> String {
    let models = comparison.candidates.iter().map(|candidate| {
        json!({ "model": candidate.name, "right": candidate.right(), "accuracy": candidate.accuracy,
                "accuracy_interval": candidate.accuracy_interval() })
    });
    let name = |index: usize| &comparison.candidates[index].name;
    let pairs = comparison.pairs.iter().map(|pair| {
        json!({ "a": name(pair.a), "b": name(pair.b), "a_only": pair.test.a_only, "b_only": pair.test.b_only,
                "p_value": pair.p_value, "p_value_holm": pair.corrected })
    });
    let mut object = json!({
        "dataset": dataset,
        "images": comparison.truths.len(),
        "models": models.collect::<Vec<Value>>(),
    });
    if let [pair] = &comparison.pairs[..] {
        object["a_only"] = json!(pair.test.a_only);
        object["b_only"] = json!(pair.test.b_only);
        object["p_value"] = json!(pair.p_value);
    }
    object["pairs"] = json!(pairs.collect::<Vec<Value>>());
    json_text(&object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fitch::metrics::McNemar;

    fn pair(a_only: usize, b_only: usize) -> Pair {
        let test = McNemar { a_only, b_only };
        Pair { a: 0, b: 1, test, p_value: test.p_value(), corrected: test.p_value() }
    }

    #[test]
    fn a_test_is_told_in_words() {
        let cases = [
            (
                (4, 9),
                "B is right on 9 images where A is wrong, A on 4 where B is wrong: no evidence of a difference (p = 0.27)",
            ),
            (
                (20, 1),
                "B is right on 1 image where A is wrong, A on 20 where B is wrong: evidence that A is better (p < 0.0001)",
            ),
            (
                (1, 12),
                "B is right on 12 images where A is wrong, A on 1 where B is wrong: evidence that B is better (p = 0.0034)",
            ),
            ((0, 0), "A and B are right on the same images: no evidence of a difference (p = 1)"),
        ];
        for ((a_only, b_only), words) in cases {
            assert_eq!(in_words(&pair(a_only, b_only)), words);
        }
    }

    #[test]
    fn letters_never_end() {
        assert_eq!([0, 25, 26, 52].map(letter), ["A", "Z", "AA", "BA"]);
    }
}
