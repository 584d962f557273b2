//! What the code of a TorchScript file declares: which fields of its classes are parameters and buffers. The
//! code is text that libtorch has written, one declaration a line.

use std::collections::BTreeMap;

const PARAMETERS: &str = "  __parameters__ = [";
const BUFFERS: &str = "  __buffers__ = [";

/// The fields of a class that are tensors to be kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields {
    pub parameters: Vec<String>,
    pub buffers: Vec<String>,
}

/// The classes of a file of code, by their names in it.
pub fn classes(code: &str) -> BTreeMap<String, Fields> {
    let mut classes: BTreeMap<String, Fields> = BTreeMap::new();
    let mut current = None;
    for line in code.lines() {
        if let Some(class) = class_name(line) {
            current = Some(classes.entry(class.to_string()).or_default());
        } else if let Some(fields) = &mut current {
            if let Some(list) = line.strip_prefix(PARAMETERS) {
                fields.parameters = names(list);
            } else if let Some(list) = line.strip_prefix(BUFFERS) {
                fields.buffers = names(list);
            }
        }
    }
    classes
}

/// The same code with all buffers as parameters: tch reaches parameters only.
pub fn with_buffers_as_parameters(code: &str) -> String {
    let of_class = classes(code);
    let mut current = None;
    let mut text = String::with_capacity(code.len());
    for line in code.lines() {
        if let Some(class) = class_name(line) {
            current = of_class.get(class);
        }
        match current {
            Some(Fields { parameters, buffers }) if line.starts_with(PARAMETERS) => {
                let names = parameters.iter().chain(buffers).map(|name| format!("\"{name}\", "));
                text += &format!("{PARAMETERS}{}]", names.collect::<String>());
            }
            Some(_) if line.starts_with(BUFFERS) => text += &format!("{BUFFERS}]"),
            _ => text += line,
        }
        text.push('\n');
    }
    text
}

/// The fields to which methods give new values: `self.count = ...`, `_0.count = ...`.
pub fn assigned(code: &str) -> Vec<&str> {
    code.lines().filter_map(assigned_in).collect()
}

fn assigned_in(line: &str) -> Option<&str> {
    let (target, _) = line.strip_prefix("    ")?.trim_start().split_once(" = ")?;
    let is_path = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '.';
    let (_, field) = target.rsplit_once('.')?;
    target.chars().all(is_path).then_some(field)
}

fn class_name(line: &str) -> Option<&str> {
    line.strip_prefix("class ")?.split(['(', ':']).next()
}

fn names(list: &str) -> Vec<String> {
    let items = list.trim_end().trim_end_matches(']').split(',');
    items.map(|name| name.trim().trim_matches('"').to_string()).filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "\
class Norm(Module):
  __parameters__ = [\"weight\", \"bias\", ]
  __buffers__ = [\"mean\", ]
  weight : Tensor
  def forward(self: __torch__.Norm,
    x: Tensor) -> Tensor:
    _0 = self.count
    y = torch.add_(self.mean, 1)
    self.count = torch.add(_0, 1)
    n = self.inner
    if True:
      n.calls = 3
    return y
class Plain(Module):
  __parameters__ = []
  __buffers__ = []
";

    #[test]
    fn fields_are_found_and_buffers_become_parameters() {
        let found = classes(CODE);
        assert_eq!(found["Norm"].parameters, ["weight", "bias"]);
        assert_eq!(found["Norm"].buffers, ["mean"]);
        assert_eq!(found["Plain"], Fields::default());
        let moved = with_buffers_as_parameters(CODE);
        let expected = CODE
            .replace("\"bias\", ]", "\"bias\", \"mean\", ]")
            .replace("[\"mean\", ]\n  weight", "[]\n  weight");
        assert_eq!(moved, expected);
    }

    #[test]
    fn fields_that_get_new_values_are_found() {
        assert_eq!(assigned(CODE), ["count", "calls"]);
    }
}
