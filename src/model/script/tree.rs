//! The modules of a TorchScript file as a tree: what each is, and the tensors that belong to it.

use super::code::{self, Fields};
use crate::kernels::script::file::ScriptFile;
use crate::kernels::script::unpickle::{Object, StoredTensor, Value, object};
use crate::model::outline::OutlineRow;
use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, HashMap};
use tch::Kind;

/// Modules that a file may have; an object that is named many times is counted each time.
const MAX_MODULES: usize = 100_000;
/// Rows of an outline that still fit a page.
const MAX_ROWS: usize = 24;

/// A module and all below it.
#[derive(Debug)]
pub struct Module {
    /// `__torch__.torch.nn.modules.conv.Conv2d`.
    pub class: String,
    /// Parameters and buffers, by their names in the module.
    tensors: Vec<(String, StoredTensor)>,
    children: Vec<(String, Module)>,
    /// Where in `data.pkl` it is said to be in training.
    training_flag: Option<usize>,
}

/// What is known of a file without running it.
#[derive(Debug)]
pub struct Tree {
    pub root: Module,
    /// Where in `data.pkl` modules are said to be in training.
    pub training_flags: Vec<usize>,
}

impl Tree {
    /// The tree of a file.
    ///
    /// # Errors
    /// A file that libtorch has not written.
    pub fn of(file: &ScriptFile) -> Result<Tree> {
        let mut classes = HashMap::new();
        for (name, text) in file.code() {
            let text = std::str::from_utf8(text).with_context(|| name.to_string())?;
            let module = name.trim_start_matches("code/").trim_end_matches(".py").replace('/', ".");
            let named = code::classes(text).into_iter();
            classes.extend(named.map(|(class, fields)| (format!("{module}.{class}"), fields)));
        }
        let root = object(file.get("data.pkl").context("has no data.pkl")?)?;
        let mut reading = Reading { classes, training_flags: Vec::new(), count: 0 };
        let root = reading.module(&root)?;
        Ok(Tree { root, training_flags: reading.training_flags })
    }
}

struct Reading {
    classes: HashMap<String, Fields>,
    training_flags: Vec<usize>,
    count: usize,
}

impl Reading {
    fn module(&mut self, object: &Object) -> Result<Module> {
        self.count += 1;
        ensure!(self.count <= MAX_MODULES, "has more than {MAX_MODULES} modules");
        let fields = self.classes.get(&object.class);
        let Fields { parameters, buffers } =
            fields.with_context(|| format!("has no code of its class {}", object.class))?.clone();
        let mut module = Module {
            class: object.class.clone(),
            tensors: Vec::new(),
            children: Vec::new(),
            training_flag: None,
        };
        for (name, value) in &object.fields {
            match value {
                Value::Tensor(tensor) if parameters.contains(name) || buffers.contains(name) => {
                    module.tensors.push((name.clone(), (**tensor).clone()));
                }
                Value::Object(child) if self.classes.contains_key(&child.class) => {
                    module.children.push((name.clone(), self.module(child)?));
                }
                Value::Boolean(place) if name == "training" => {
                    self.training_flags.push(*place);
                    module.training_flag = Some(*place);
                }
                _ => {}
            }
        }
        Ok(module)
    }
}

impl Module {
    /// The last part of the class: `Conv2d`.
    pub fn type_name(&self) -> &str {
        self.class.rsplit('.').next().unwrap_or_default()
    }

    /// All tensors below the module, by their whole names: `layer1.0.conv1.weight`.
    pub fn tensors(&self) -> BTreeMap<String, &StoredTensor> {
        let mut found = BTreeMap::new();
        self.collect("", &mut found);
        found
    }

    fn collect<'a>(&'a self, prefix: &str, found: &mut BTreeMap<String, &'a StoredTensor>) {
        found.extend(self.tensors.iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)));
        for (name, child) in &self.children {
            child.collect(&format!("{prefix}{name}."), found);
        }
    }

    /// The names of all tensors in the order of the modules.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let own = self.tensors.iter().map(|(name, _)| format!("{prefix}{name}"));
        let below = self.children.iter().flat_map(|(name, child)| child.names(&format!("{prefix}{name}.")));
        own.chain(below).collect()
    }

    /// The training flags of modules that are frozen: all of their own parameters are, or they have buffers only, in
    /// a module whose parameters all are. `is_frozen` knows of parameters whether they are frozen.
    pub fn frozen_flags(
        &self,
        prefix: &str,
        is_in_frozen: bool,
        is_frozen: &dyn Fn(&str) -> Option<bool>,
    ) -> Vec<usize> {
        let of = |names: Vec<String>| names.iter().filter_map(|name| is_frozen(name)).collect::<Vec<bool>>();
        let own = of(self.tensors.iter().map(|(name, _)| format!("{prefix}{name}")).collect());
        let is_whole =
            |parameters: &[bool]| !parameters.is_empty() && parameters.iter().all(|frozen| *frozen);
        let has_buffers_only = own.is_empty() && !self.tensors.is_empty();
        let is_held = is_whole(&own) || has_buffers_only && is_in_frozen;
        let all_below = is_whole(&of(self.names(prefix)));
        let below = self
            .children
            .iter()
            .flat_map(|(name, child)| child.frozen_flags(&format!("{prefix}{name}."), all_below, is_frozen));
        self.training_flag.filter(|_| is_held).into_iter().chain(below).collect()
    }

    /// The modules below it as the rows of an outline: as deep as fits a page, each with all that is below it.
    pub fn rows(&self) -> Vec<OutlineRow> {
        let mut shown: Vec<(String, &Module)> =
            self.children.iter().map(|(name, child)| (name.clone(), child)).collect();
        loop {
            let deeper: Vec<(String, &Module)> = shown.iter().flat_map(Module::unfolded).collect();
            if deeper.len() == shown.len() || deeper.len() > MAX_ROWS {
                break;
            }
            shown = deeper;
        }
        if shown.is_empty() || !self.tensors.is_empty() {
            shown.push((String::new(), self));
        }
        shown.iter().map(|(name, module)| module.row(name, std::ptr::eq(*module, self))).collect()
    }

    /// A module, or those that it is made of, if it has no tensors of its own.
    fn unfolded<'a>((name, module): &(String, &'a Module)) -> Vec<(String, &'a Module)> {
        if module.children.is_empty() || !module.tensors.is_empty() {
            return vec![(name.clone(), *module)];
        }
        module.children.iter().map(|(below, child)| (format!("{name}.{below}"), child)).collect()
    }

    fn row(&self, name: &str, is_root: bool) -> OutlineRow {
        // Of the root what no other row has.
        let tensors: Vec<&StoredTensor> = match is_root {
            true => self.tensors.iter().map(|(_, tensor)| tensor).collect(),
            false => self.tensors().into_values().collect(),
        };
        let counted = || tensors.iter().filter(|tensor| is_counted(tensor.kind));
        OutlineRow {
            name: if name.is_empty() { "network".to_string() } else { name.to_string() },
            type_name: self.type_name().to_string(),
            settings: String::new(),
            is_activation: false,
            shapes: None,
            parameters: counted().map(|tensor| tensor.size.iter().product::<i64>()).sum(),
            parameter_shapes: counted().map(|tensor| tensor.size.clone()).collect(),
        }
    }
}

/// Whether the values of a tensor are counted as parameters: counts of batches are not.
pub fn is_counted(kind: Kind) -> bool {
    matches!(kind, Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16)
}
