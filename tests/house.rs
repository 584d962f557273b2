//! The house stays in order: imports point down, nothing imports in a circle, and the library speaks no word of
//! the program. Reads the source as text; see `fitch help contributing`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of the library, from the bottom up. A room may import from its own floor and from those below.
const FLOORS: [&[&str]; 4] = [
    &["device", "distributed", "files", "kernels", "protobuf", "random", "text"],
    &["data", "metrics", "model", "optim", "run"],
    &["train"],
    &["export", "report"],
];

/// What the library leaves to the program: printing and ending the process.
const PROGRAM_CALLS: [&str; 5] = ["println!", "eprint!", "dbg!", "process::exit", "clap::"];

/// What the library does not name, in comments either: the program's surroundings.
const PROGRAM_WORDS: [&str; 2] = ["scripts/fitch", "target/release"];

/// A file of the library, without its tests and comments.
struct Source {
    /// Its module: `data::formats::csv`.
    module: String,
    path: PathBuf,
    /// With comments, for the words of the program.
    text: String,
    code: String,
}

impl Source {
    fn room(&self) -> &str {
        self.module.split("::").next().unwrap_or_default()
    }
}

/// Every file of the library but `lib.rs`, the program, the guides, and files of tests.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('/', "::");
            if path.is_dir() {
                if !["bin", "guide"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if let Some(module) = name.strip_suffix(".rs")
                && !["lib", "build"].contains(&module)
                && module.split("::").all(|part| part != "tests")
            {
                let whole = fs::read_to_string(&path).unwrap();
                let text = whole.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_string();
                let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                let code = lines.collect::<Vec<_>>().join("\n");
                let module = module.trim_end_matches("::mod").to_string();
                sources.push(Source { module, path, text, code });
            }
        }
    }
    assert!(sources.len() > 50, "only {} files were found", sources.len());
    sources
}

/// Each path of a module that the code names, with groups taken apart: `use super::{a::B, c}` gives two.
fn paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (place, _) in code.match_indices(start) {
            let is_inner = code[..place].ends_with(|before: char| before == ':' || before.is_alphanumeric());
            if !is_inner {
                expand("", &code[place..], &mut found);
            }
        }
    }
    found
}

/// Reads one path, or one group of them, from the start of a text; gives what is left.
fn expand<'a>(prefix: &str, text: &'a str, found: &mut Vec<String>) -> &'a str {
    let end =
        text.find(|letter: char| !letter.is_alphanumeric() && !"_:".contains(letter)).unwrap_or(text.len());
    let (path, mut rest) = (format!("{prefix}{}", &text[..end]), &text[end..]);
    if !rest.starts_with('{') || !path.ends_with("::") {
        found.push(path.trim_end_matches("::").to_string());
        return rest;
    }
    loop {
        rest = expand(&path, rest[1..].trim_start(), found).trim_start();
        // What is left of an item, such as `as Other`.
        rest = rest.find([',', '}']).map_or("", |place| &rest[place..]);
        match rest.strip_prefix(',').map(str::trim_start) {
            Some(after) if after.starts_with('}') => return &after[1..],
            Some(_) => {}
            None => return rest.get(1..).unwrap_or_default(),
        }
    }
}

/// The modules that a module imports, whatever they are re-exported as.
fn imports(source: &Source, modules: &BTreeMap<String, &Source>) -> BTreeSet<String> {
    let mut imported = BTreeSet::new();
    for path in paths(&source.code) {
        let mut base: Vec<&str> = source.module.split("::").collect();
        let mut parts = path.split("::").peekable();
        while let Some(part) = parts.next_if(|part| ["crate", "super"].contains(part)) {
            base.truncate(if part == "crate" { 0 } else { base.len().saturating_sub(1) });
        }
        base.extend(parts);
        // The longest beginning that is a module; what follows may be a name that it re-exports from a child.
        let Some(length) =
            (1..=base.len()).rev().find(|length| modules.contains_key(&base[..*length].join("::")))
        else {
            continue;
        };
        let module = base[..length].join("::");
        let child = base.get(length).and_then(|name| reexported_from(modules[&module], name));
        let target =
            child.map(|child| format!("{module}::{child}")).filter(|child| modules.contains_key(child));
        imported.insert(target.unwrap_or(module));
    }
    imported.remove(&source.module);
    imported
}

/// The child module that a `pub use child::Name` takes a name from.
fn reexported_from(parent: &Source, name: &str) -> Option<String> {
    let statements = parent.code.split("use ").skip(1).filter_map(|rest| rest.split(';').next());
    for statement in statements {
        let mut found = Vec::new();
        expand("", statement, &mut found);
        let path = found.into_iter().find(|path| path.rsplit("::").next() == Some(name));
        if let Some((child, _)) = path.as_deref().and_then(|path| path.split_once("::")) {
            return Some(child.to_string());
        }
    }
    None
}

/// A way from a node back to itself, if there is one.
fn find_circle(edges: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn visit(
        node: &str,
        edges: &BTreeMap<String, BTreeSet<String>>,
        way: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        if let Some(start) = way.iter().position(|before| before == node) {
            return Some([&way[start..], &[node.to_string()]].concat());
        }
        if done.contains(node) {
            return None;
        }
        way.push(node.to_string());
        let circle = edges.get(node).into_iter().flatten().find_map(|next| visit(next, edges, way, done));
        way.pop();
        done.insert(node.to_string());
        circle
    }
    let mut done = BTreeSet::new();
    edges.keys().find_map(|node| visit(node, edges, &mut Vec::new(), &mut done))
}

#[test]
fn every_room_has_its_floor() {
    let rooms: BTreeSet<String> = sources().iter().map(|source| source.room().to_string()).collect();
    let known: BTreeSet<String> = FLOORS.concat().into_iter().map(str::to_string).collect();
    assert_eq!(rooms, known);
}

#[test]
fn no_room_imports_from_a_floor_above() {
    let sources = sources();
    let modules: BTreeMap<_, _> = sources.iter().map(|source| (source.module.clone(), source)).collect();
    let floor_of = |room: &str| FLOORS.iter().position(|rooms| rooms.contains(&room));
    let mut faults = Vec::new();
    for source in &sources {
        for target in imports(source, &modules) {
            if floor_of(modules[&target].room()) > floor_of(source.room()) {
                faults.push(format!("{} imports {target}", source.path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_rooms_import_each_other() {
    let sources = sources();
    let modules: BTreeMap<_, _> = sources.iter().map(|source| (source.module.clone(), source)).collect();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in &sources {
        let targets = imports(source, &modules).into_iter().map(|target| modules[&target].room().to_string());
        edges
            .entry(source.room().to_string())
            .or_default()
            .extend(targets.filter(|room| room != source.room()));
    }
    assert_eq!(find_circle(&edges), None);
}

/// A folder and its files may see each other; two files in one folder, or two folders in one, may not.
#[test]
fn no_files_import_each_other() {
    let sources = sources();
    let modules: BTreeMap<_, _> = sources.iter().map(|source| (source.module.clone(), source)).collect();
    // For each folder, who of its members imports whom.
    let mut folders: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for source in &sources {
        let parts: Vec<&str> = source.module.split("::").collect();
        for target in imports(source, &modules) {
            let others: Vec<&str> = target.split("::").collect();
            let common = parts.iter().zip(&others).take_while(|(one, other)| one == other).count();
            if let (Some(from), Some(to)) = (parts.get(common), others.get(common)) {
                let folder = folders.entry(parts[..common].join("::")).or_default();
                folder.entry(from.to_string()).or_default().insert(to.to_string());
            }
        }
    }
    let circles = folders.iter().filter_map(|(folder, edges)| {
        find_circle(edges)
            .map(|circle| format!("in src/{}: {}", folder.replace("::", "/"), circle.join(" -> ")))
    });
    let circles: Vec<String> = circles.collect();
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn the_library_has_no_word_of_the_program() {
    let is_option = |word: &str| {
        let name = word.trim_start_matches(['\'', '"', '`', '(']);
        name.strip_prefix("--")
            .is_some_and(|name| name.starts_with(|letter: char| letter.is_ascii_lowercase()))
    };
    let mut faults = Vec::new();
    for source in sources() {
        for (index, line) in source.text.lines().enumerate() {
            // An option of another program.
            let line = line.replace("sha256sum --check", "");
            let is_comment = line.trim_start().starts_with("//");
            let calls = !is_comment && PROGRAM_CALLS.iter().any(|call| line.contains(call));
            let names = PROGRAM_WORDS.iter().any(|word| line.contains(word));
            if calls || names || line.split_whitespace().any(is_option) {
                faults.push(format!("{}:{}: {}", source.path.display(), index + 1, line.trim()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn imports_are_read_in_every_form() {
    let code =
        "use super::{a::{B, c::D}, e as f};\nuse crate::g::H;\nfn i(j: crate::k::L) { super::super::m() }";
    let expected = ["super::a::B", "super::a::c::D", "super::e", "super::super::m"];
    let mut found = paths(code);
    found.sort();
    assert_eq!(found, [&["crate::g::H", "crate::k::L"], expected.as_slice()].concat());
}

#[test]
fn circles_are_found() {
    let edges = |pairs: &[(&str, &str)]| {
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in pairs {
            edges.entry(from.to_string()).or_default().insert(to.to_string());
        }
        edges
    };
    assert_eq!(find_circle(&edges(&[("a", "b"), ("a", "c"), ("b", "c")])), None);
    let circle = find_circle(&edges(&[("a", "b"), ("b", "c"), ("c", "b")])).unwrap();
    assert_eq!(circle, ["b", "c", "b"]);
}
