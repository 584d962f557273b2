//! Which column of a table is what: the label, the split, values, row numbers. The one place that decides it.
//! Every choice that could have been another is noted.

mod head;
mod names;
mod pairs;
mod pixels;
mod sketch;
mod splits;

pub(super) use names::label_among;
pub use names::likely_groups;
pub(super) use pairs::Pairs;
pub(super) use pixels::shape as shape_of_columns;
pub(super) use splits::{SplitColumn, joined};

use super::Fault;
use super::table::Table;
use crate::text::listed;
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
    /// The column that says which rows belong together.
    pub group: Option<usize>,
    /// How the label column was chosen, if another could have been, to go on from "labels are taken from ".
    pub guess: Option<String>,
    /// The columns that say which rows are for what.
    pub splits: Vec<SplitColumn>,
    /// The columns of values, in their order.
    pub values: Vec<usize>,
    /// Whether there is one column of values, which holds all of an image.
    pub has_lists: bool,
    /// Columns that may say the same as the label, by the first rows.
    pub twins: Vec<Twin>,
    /// Columns that said the same as the label, and are left out.
    pub unused: Vec<usize>,
    /// Numbers that the training table does not have.
    pub surplus: Vec<usize>,
    /// What users should know.
    pub notes: Vec<String>,
}

/// A column that may say the same as the label.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Twin {
    pub index: usize,
    /// One of its cells, if they are words.
    word: Option<String>,
}

impl Columns {
    /// Finds out what the columns of a table are, and takes its head out of its rows. The labels are in the
    /// column `asked` for, by name or index, if it is given, and the groups in the column `group`.
    ///
    /// # Errors
    /// [`Fault::UnknownLabelColumn`], [`Fault::UnknownGroupColumn`], [`Fault::NoLabelColumn`],
    /// [`Fault::TextColumns`]; one column for labels and groups; rows without values.
    pub fn find(table: &mut Table, asked: Option<&str>, group: Option<&str>) -> Result<Columns> {
        let asked_names: Vec<&str> =
            asked.into_iter().chain(group).filter(|asked| asked.parse::<f64>().is_err()).collect();
        let sketch = Sketch::take(table, |cells| asked_names.iter().any(|asked| cells.contains(asked)));
        let mut columns = Columns::of(&sketch);
        if let Some(group) = group {
            let index = sketch.position(group).ok_or_else(|| sketch.unknown_group(group))?;
            columns.splits.retain(|split| split.index != index);
            columns.group = Some(index);
        }
        let (label, guess) = match asked {
            Some(asked) => (sketch.asked(asked)?, None),
            None => sketch.label(&columns.splits, columns.group)?,
        };
        ensure!(
            columns.group != Some(label),
            "the column {} holds the labels: it cannot be the one of the groups, too",
            sketch.shown(label)
        );
        columns.splits.retain(|split| split.index != label);
        ensure!(columns.width > 1, "line 1 has {} value; a label and pixels are needed", columns.width);
        (columns.label, columns.guess) = (Some(label), guess);
        columns.assign(&sketch, true)?;
        Ok(columns)
    }

    /// The same of a table that is to be like the one that a model is trained on, with values in that many
    /// columns of these names, if they have any. Labels may be missing, and groups.
    ///
    /// # Errors
    /// As [`Columns::find`], and a column that is missing.
    pub fn find_like(
        table: &mut Table,
        names: Option<&[String]>,
        count: usize,
        asked: Option<&str>,
        group: Option<&str>,
    ) -> Result<Columns> {
        let known: HashSet<String> = names.unwrap_or_default().iter().map(|name| folded(name)).collect();
        let are_named = |cells: &[&str]| cells.iter().filter(|cell| known.contains(&folded(cell))).count();
        let sketch = Sketch::take(table, |cells| {
            !known.is_empty()
                && are_named(cells) == known.len()
                && cells.iter().any(|cell| cell.parse::<f64>().is_err())
        });
        let mut columns = Columns::of(&sketch);
        // A table of values alone has no column of groups where another one has it.
        columns.group = group.and_then(|group| {
            let is_name = sketch.names.iter().flatten().any(|name| folded(name) == folded(group));
            sketch.position(group).filter(|_| is_name || columns.width > count)
        });
        columns.splits.retain(|split| Some(split.index) != columns.group);
        if let (Some(names), Some(own)) = (names.filter(|names| names.len() == known.len()), &columns.names) {
            let place_of: HashMap<String, usize> = own.iter().map(|name| folded(name)).zip(0..).collect();
            let places = names.iter().map(|name| place_of.get(&folded(name)).copied());
            if let Some(values) = places.clone().collect::<Option<Vec<usize>>>() {
                columns.group = columns.group.filter(|group| !values.contains(group));
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
        let others = usize::from(columns.group.is_some());
        if !asked.is_some_and(is_name) && by_name.is_none() && columns.width == count + others {
            columns.values = (0..columns.width).filter(|index| Some(*index) != columns.group).collect();
            return Ok(columns);
        }
        let is_asked = |asked: &&str| sketch.asked(asked).is_ok();
        match asked.filter(is_asked) {
            Some(asked) => columns.label = Some(sketch.asked(asked)?),
            None => {
                if let Ok((label, guess)) = sketch.label(&columns.splits, columns.group) {
                    (columns.label, columns.guess) = (Some(label), guess);
                }
            }
        }
        let labelled = columns.clone();
        columns.assign(&sketch, false)?;
        // A test table may have the numbers of rows, but no labels.
        if columns.values.len() + 1 == count && by_name.is_none() && !columns.has_lists {
            columns = Columns { label: None, guess: None, ..labelled };
            columns.assign(&sketch, false)?;
        }
        Ok(columns)
    }

    /// The columns, before it is known what they are.
    fn of(sketch: &Sketch) -> Columns {
        let (width, names, splits) = (sketch.width, sketch.names.clone(), sketch.splits());
        Columns { width, names, splits, ..Columns::default() }
    }

    /// Says what each column is that is neither the label nor the split.
    fn assign(&mut self, sketch: &Sketch, seeks_twins: bool) -> Result<()> {
        let label = self.label;
        let mut texts = Vec::new();
        for index in 0..sketch.width {
            if self.is_split(index) || Some(index) == label || Some(index) == self.group {
                continue;
            }
            if sketch.has_lists(index) && !self.has_lists {
                self.surplus.append(&mut self.values);
                (self.values, self.has_lists) = (vec![index], true);
            } else if let Some(why) = sketch.numbers_rows(index, label) {
                self.notes.push(format!("the column {} {why} and is left out", sketch.shown(index)));
            } else if seeks_twins && label.is_some_and(|label| sketch.may_be_twin(index, label)) {
                let is_text = sketch.contents[index].is_text();
                let word = sketch.contents[index].first_word.clone().filter(|_| is_text);
                self.twins.push(Twin { index, word });
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
            texts.extend(self.twins.drain(..).map(|twin| twin.index));
            self.leave_out(&texts, sketch);
        } else if !texts.is_empty() {
            let example = sketch.contents[texts[0]].first_word.clone().unwrap_or_default();
            let columns = texts.iter().map(|&index| sketch.shown(index)).collect();
            return Err(Fault::TextColumns { columns, example: short(&example) }.into());
        }
        ensure!(
            !self.values.is_empty() || !self.twins.is_empty(),
            "has labels alone, and no column of values"
        );
        Ok(())
    }

    /// Whether a column says which rows are for what.
    fn is_split(&self, index: usize) -> bool {
        self.splits.iter().any(|split| split.index == index)
    }

    /// Leaves out the columns that say the same as the label; `are_same` tells of each whether it does in all
    /// rows. The others are values.
    ///
    /// # Errors
    /// [`Fault::TextColumns`].
    pub fn part_twins(&mut self, are_same: &[bool]) -> Result<()> {
        let mut left_out = Vec::new();
        for (twin, &is_same) in std::mem::take(&mut self.twins).into_iter().zip(are_same) {
            let name = self.names.as_ref().and_then(|names| names.get(twin.index));
            let shown = format!("'{}'", short(name.map_or("", String::as_str)));
            match &twin.word {
                _ if is_same => left_out.push((twin.index, shown)),
                Some(word) => {
                    return Err(Fault::TextColumns { columns: vec![shown], example: short(word) }.into());
                }
                None => self.values.push(twin.index),
            }
        }
        ensure!(!self.values.is_empty(), "has labels alone, and no column of values");
        self.values.sort_unstable();
        for (index, shown) in left_out {
            self.notes.push(format!("the column {shown} says the same as the labels and is left out"));
            self.unused.push(index);
        }
        Ok(())
    }

    /// The other columns of a table whose columns of values are known by name.
    fn beside_values(mut self, sketch: &Sketch, asked: Option<&str>) -> Result<Columns> {
        let values: HashSet<usize> = self.values.iter().copied().collect();
        let is_rest = |index: &usize| !values.contains(index) && Some(*index) != self.group;
        let rest: Vec<usize> = (0..sketch.width).filter(is_rest).collect();
        let names = rest.iter().map(|&index| sketch.name(index).unwrap_or_default());
        let asked = asked.and_then(|asked| sketch.asked(asked).ok()).filter(|index| rest.contains(index));
        self.label = asked.or_else(|| label_among(names).map(|place| rest[place]));
        self.splits.retain(|split| rest.contains(&split.index) && Some(split.index) != self.label);
        let is_other = |index: &usize| Some(*index) != self.label && !self.is_split(*index);
        let others: Vec<usize> = rest.into_iter().filter(is_other).collect();
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
        let unused: Vec<String> = unused.iter().map(|&index| sketch.shown(index)).collect();
        self.notes.push(format!("left out: the columns {}", listed(&unused, NAMED)));
    }

    /// Whether the table that a model is trained on leaves out a column that another one has as well.
    pub fn leaves_out(&self, names: Option<&[String]>, index: usize) -> bool {
        let Some(name) = names.and_then(|names| names.get(index)).map(|name| folded(name)) else {
            return false;
        };
        let own = |&index: &usize| self.names.as_ref()?.get(index).map(|name| folded(name));
        self.unused.iter().filter_map(own).any(|unused| unused == name)
    }

    /// The names of the columns of values as they are; none of a table without a head, of which the columns
    /// say nothing.
    pub fn names_of_values(&self) -> Option<Vec<String>> {
        let names = self.names.as_ref()?;
        Some(self.values.iter().filter_map(|&index| names.get(index).cloned()).collect())
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
        self.label.map(|label| self.text(label))
    }

    /// The column of groups, likewise.
    pub fn group_text(&self) -> Option<String> {
        self.group.map(|group| self.text(group))
    }

    fn text(&self, index: usize) -> String {
        let name = self.names.as_ref().and_then(|names| names.get(index)).filter(|name| !name.is_empty());
        name.cloned().unwrap_or_else(|| index.to_string())
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
