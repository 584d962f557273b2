//! Which column of a table is what: the label, the split, values, row numbers. The one place that decides it.
//! Every choice that could have been another is noted.

mod head;
mod names;
mod sketch;

pub(super) use names::{SPLIT_NAMES, label_among, split_of};

use super::Fault;
use super::table::Table;
use anyhow::{Result, bail, ensure};
use names::folded;
use sketch::Sketch;
use std::collections::{HashMap, HashSet};

/// More columns than this are not named in messages.
const NAMED: usize = 12;

/// The columns of a table by what they hold, counted from 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Columns {
    /// The number of all columns.
    pub width: usize,
    /// Their names, if the table has a head.
    pub names: Option<Vec<String>>,
    /// None if the rows have no labels.
    pub label: Option<usize>,
    /// How the label column was chosen, if another could have been, to go on from "labels are taken from ".
    pub guess: Option<String>,
    pub split: Option<usize>,
    /// The columns of values, in their order.
    pub values: Vec<usize>,
    /// Whether there is one column of values, which holds all of an image.
    pub has_lists: bool,
    /// Numbers that the training table does not have.
    pub surplus: Vec<usize>,
    /// What users should know.
    pub notes: Vec<String>,
}

impl Columns {
    /// Finds out what the columns of a table are, and takes its head out of its rows. The labels are in the
    /// column `asked` for, by name or index, if it is given.
    ///
    /// # Errors
    /// [`Fault::UnknownLabelColumn`], [`Fault::NoLabelColumn`], [`Fault::TextColumns`]; rows without values.
    pub fn find(table: &mut Table, asked: Option<&str>) -> Result<Columns> {
        let asked_name = asked.filter(|asked| asked.parse::<f64>().is_err());
        let sketch = Sketch::take(table, |cells| asked_name.is_some_and(|asked| cells.contains(&asked)));
        let mut columns = Columns::of(&sketch);
        let (label, guess) = match asked {
            Some(asked) => (sketch.asked(asked)?, None),
            None => sketch.label(columns.split)?,
        };
        ensure!(columns.width > 1, "line 1 has {} value; a label and pixels are needed", columns.width);
        (columns.label, columns.guess) = (Some(label), guess);
        columns.assign(&sketch)?;
        Ok(columns)
    }

    /// The same of a table that is to be like the one that a model is trained on, with values in that many
    /// columns of these names, if they have any. Labels may be missing.
    ///
    /// # Errors
    /// As [`Columns::find`], and a column that is missing.
    pub fn find_like(
        table: &mut Table,
        names: Option<&[String]>,
        count: usize,
        asked: Option<&str>,
    ) -> Result<Columns> {
        let known: HashSet<String> = names.unwrap_or_default().iter().map(|name| folded(name)).collect();
        let are_named = |cells: &[&str]| cells.iter().filter(|cell| known.contains(&folded(cell))).count();
        let sketch = Sketch::take(table, |cells| {
            !known.is_empty()
                && are_named(cells) == known.len()
                && cells.iter().any(|cell| cell.parse::<f64>().is_err())
        });
        let mut columns = Columns::of(&sketch);
        if let (Some(names), Some(own)) = (names.filter(|names| names.len() == known.len()), &columns.names) {
            let place_of: HashMap<String, usize> = own.iter().map(|name| folded(name)).zip(0..).collect();
            let places = names.iter().map(|name| place_of.get(&folded(name)).copied());
            if let Some(values) = places.clone().collect::<Option<Vec<usize>>>() {
                columns.values = values;
                columns.has_lists = columns.values.len() == 1 && sketch.has_lists(columns.values[0]);
                return columns.beside_values(&sketch, asked);
            }
            let missing = names.iter().zip(places.clone()).find(|(_, place)| place.is_none());
            match missing {
                // Numbers say no more than the places.
                _ if names.iter().all(|name| name.parse::<f64>().is_ok()) => {}
                Some((name, _)) if places.flatten().next().is_some() => {
                    bail!("has no column '{name}', which the training table has")
                }
                _ => {
                    let note = "its columns have other names than those of the training table";
                    columns.notes.push(note.to_string());
                }
            }
        }
        // Kaggle's test rows have no labels.
        let by_name = sketch.named_label();
        let is_name = |asked: &str| columns.names.iter().flatten().any(|name| folded(name) == folded(asked));
        if !asked.is_some_and(is_name) && by_name.is_none() && columns.width == count {
            columns.values = (0..count).collect();
            return Ok(columns);
        }
        let is_asked = |asked: &&str| sketch.asked(asked).is_ok();
        match asked.filter(is_asked) {
            Some(asked) => columns.label = Some(sketch.asked(asked)?),
            None => {
                if let Ok((label, guess)) = sketch.label(columns.split) {
                    (columns.label, columns.guess) = (Some(label), guess);
                }
            }
        }
        let labelled = columns.clone();
        columns.assign(&sketch)?;
        // A test table may have the numbers of rows, but no labels.
        if columns.values.len() + 1 == count && by_name.is_none() && !columns.has_lists {
            columns = Columns { label: None, guess: None, ..labelled };
            columns.assign(&sketch)?;
        }
        Ok(columns)
    }

    /// The columns, before it is known what they are.
    fn of(sketch: &Sketch) -> Columns {
        let (width, names, split) = (sketch.width, sketch.names.clone(), sketch.split());
        Columns { width, names, split, ..Columns::default() }
    }

    /// Says what each column is that is neither the label nor the split.
    fn assign(&mut self, sketch: &Sketch) -> Result<()> {
        let (label, split) = (self.label, self.split);
        let others = (0..sketch.width).filter(|&index| Some(index) != label && Some(index) != split);
        let mut texts = Vec::new();
        for index in others {
            if sketch.has_lists(index) && !self.has_lists {
                self.surplus.append(&mut self.values);
                (self.values, self.has_lists) = (vec![index], true);
            } else if let Some(why) = sketch.numbers_rows(index, label) {
                self.notes.push(format!("the column {} {why} and is left out", sketch.shown(index)));
            } else if sketch.contents[index].is_text() {
                texts.push(index);
            } else if self.has_lists {
                self.surplus.push(index);
            } else {
                self.values.push(index);
            }
        }
        if self.has_lists {
            texts.append(&mut self.surplus);
            self.leave_out(&texts, sketch);
        } else if !texts.is_empty() {
            let example = sketch.contents[texts[0]].first_word.clone().unwrap_or_default();
            let columns = texts.iter().map(|&index| sketch.shown(index)).collect();
            return Err(Fault::TextColumns { columns, example: short(&example) }.into());
        }
        ensure!(!self.values.is_empty(), "has labels alone, and no column of values");
        Ok(())
    }

    /// The other columns of a table whose columns of values are known by name.
    fn beside_values(mut self, sketch: &Sketch, asked: Option<&str>) -> Result<Columns> {
        let values: HashSet<usize> = self.values.iter().copied().collect();
        let rest: Vec<usize> = (0..sketch.width).filter(|index| !values.contains(index)).collect();
        let names = rest.iter().map(|&index| sketch.name(index).unwrap_or_default());
        let asked = asked.and_then(|asked| sketch.asked(asked).ok()).filter(|index| rest.contains(index));
        self.label = asked.or_else(|| label_among(names).map(|place| rest[place]));
        self.split = self.split.filter(|index| rest.contains(index));
        let others = rest.into_iter().filter(|&index| Some(index) != self.label && Some(index) != self.split);
        let (mut unused, mut numbers) = (Vec::new(), Vec::new());
        for index in others {
            let is_unused = sketch.contents[index].is_text() || sketch.numbers_rows(index, None).is_some();
            if is_unused { unused.push(index) } else { numbers.push(index) }
        }
        // What remains may be the labels under a name that only whoever trains knows.
        if let ([only], None) = (&numbers[..], self.label)
            && sketch.rating(*only) >= 2
        {
            self.guess = Some(sketch.called(*only));
            self.label = numbers.pop();
        } else if let ([only], None, true) = (&unused[..], self.label, numbers.is_empty())
            && sketch.rating(*only) == 4
        {
            self.guess = Some(sketch.called(*only));
            self.label = unused.pop();
        }
        self.leave_out(&unused, sketch);
        self.surplus = numbers;
        Ok(self)
    }

    fn leave_out(&mut self, unused: &[usize], sketch: &Sketch) {
        if unused.is_empty() {
            return;
        }
        let shown: Vec<String> = unused.iter().take(NAMED).map(|&index| sketch.shown(index)).collect();
        let more = unused.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        self.notes.push(format!("left out: the columns {}{more}", shown.join(", ")));
    }

    /// The names of the columns of values, if they have names that tell them apart.
    pub fn value_names(&self) -> Option<Vec<String>> {
        // A head of numbers counts the columns.
        let has_word = |names: &&Vec<String>| names.iter().any(|name| name.parse::<f64>().is_err());
        let names = self.names.as_ref().filter(has_word)?;
        let names: Vec<String> = self.values.iter().map(|&index| names[index].clone()).collect();
        let different: HashSet<String> = names.iter().map(|name| folded(name)).collect();
        (different.len() == names.len()).then_some(names)
    }

    /// The column of labels by its name, or by its index.
    pub fn label_text(&self) -> Option<String> {
        let index = self.label?;
        let name = self.names.as_ref().and_then(|names| names.get(index)).filter(|name| !name.is_empty());
        Some(name.cloned().unwrap_or_else(|| index.to_string()))
    }

    /// A column for messages: `column 3`, with its name if it has one.
    pub fn place(&self, index: usize) -> String {
        let name = self.names.as_ref().and_then(|names| names.get(index)).filter(|name| !name.is_empty());
        let name = name.map_or(String::new(), |name| format!(" ({})", short(name)));
        format!("column {}{name}", index + 1)
    }
}

/// The beginning of a cell.
pub(super) fn short(cell: &str) -> String {
    cell.chars().take(40).collect()
}

/// The values of a cell that holds all of an image: `70 80 82` or `[70, 80, 82]`.
pub(super) fn list(cell: &str) -> impl Iterator<Item = &str> {
    let is_between = |letter: char| letter.is_whitespace() || matches!(letter, ',' | '[' | ']' | '(' | ')');
    cell.split(is_between).filter(|value| !value.is_empty())
}
