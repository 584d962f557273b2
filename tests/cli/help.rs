use crate::place::{Place, skipped};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TOPICS: [&str; 7] = ["training", "data", "keras", "photos", "library", "performance", "contributing"];
const COMMANDS: [&str; 19] = [
    "train",
    "evaluate",
    "compare",
    "predict",
    "export",
    "plot",
    "report",
    "runs",
    "watch",
    "board",
    "sweep",
    "summary",
    "doctor",
    "completions",
    "man",
    "help",
    "data list",
    "data fetch",
    "data inspect",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// The README and every guide: the file's name and its text.
fn pages() -> Vec<(PathBuf, String)> {
    let guides = TOPICS.map(|topic| PathBuf::from(format!("src/guide/{topic}.md")));
    let paths = [PathBuf::from("README.md")].into_iter().chain(guides);
    paths.map(|path| (path.clone(), fs::read_to_string(root().join(path)).unwrap())).collect()
}

/// The lines of the code blocks that are commands, without their comments.
fn command_lines(page: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut language = None;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(name) => language = if language.is_none() { Some(name) } else { None },
            None if matches!(language, Some("sh" | "console")) => {
                let line = line.trim_start_matches("$ ").trim_start_matches("scripts/");
                let line = line.split(" #").next().unwrap_or_default();
                let line = line.split(" | ").next().unwrap_or_default();
                if line.starts_with("fitch ") {
                    lines.push(line.trim().to_string());
                }
            }
            None => {}
        }
    }
    lines
}

/// The options in a text: `--name`.
fn options(text: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_lowercase() || letter == '-';
    let words = text.split(|letter: char| !is_part(letter));
    let is_option = |word: &&str| word.strip_prefix("--").is_some_and(|name| name.starts_with(|c| c != '-'));
    words.filter(is_option).map(str::to_string).collect()
}

#[test]
fn every_guide_is_printed_as_it_is_written() {
    let place = Place::new();
    for topic in TOPICS {
        let guide = fs::read_to_string(root().join(format!("src/guide/{topic}.md"))).unwrap();
        let finished = place.run(&["help", topic]).well();
        assert!(finished.stdout.starts_with(&guide), "{topic}");
        assert!(finished.stderr.is_empty(), "{finished:?}");
    }
    let guides = fs::read_dir(root().join("src/guide")).unwrap();
    let pages =
        guides.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "md"));
    assert_eq!(pages.count(), TOPICS.len(), "a guide is missing in TOPICS here and in commands/help.rs");
}

#[test]
fn help_alone_lists_topics_and_commands() {
    let place = Place::new();
    let finished = place.run(&["help"]).well();
    for name in TOPICS.iter().chain(&COMMANDS) {
        let first = name.split(' ').next().unwrap();
        assert!(finished.stdout.contains(&format!("\n  {first} ")), "no {first} in {}", finished.stdout);
    }
}

#[test]
fn help_of_a_command_is_that_of_its_option() {
    let place = Place::new();
    for command in COMMANDS {
        let words: Vec<&str> = command.split(' ').collect();
        let by_option = place.run(&[words.as_slice(), &["--help"]].concat()).well();
        let by_command = place.run(&[&["help"], words.as_slice()].concat()).well();
        assert_eq!(by_command.stdout, by_option.stdout, "{command}");
    }
}

#[test]
fn the_short_help_is_short_and_points_to_the_whole() {
    let place = Place::new();
    let help = |words: &[&str], flag: &str| place.run(&[words, &[flag]].concat()).well().stdout;
    for (command, lines, hint) in [
        ("train", 30, "`fitch train --help` lists all options."),
        ("evaluate", 25, "`fitch evaluate --help` lists all options."),
        ("summary", 25, "`fitch summary --help` lists all options."),
        ("data inspect", 15, "`fitch data inspect --help` lists all options."),
        ("sweep", 30, "`fitch sweep --help` says more."),
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        let (short, whole) = (help(&words, "-h"), help(&words, "--help"));
        assert!(short.lines().count() <= lines && short.len() * 5 < whole.len() * 4, "{short}");
        assert!(short.trim_end().ends_with(hint), "{short}");
        assert!(options(&short).is_subset(&options(&whole)), "{short}");
        assert!(!whole.contains(" (see "), "one form of help for all commands: {whole}");
    }
    let short = help(&["train"], "-h");
    for part in
        ["  -e, --epochs <N> ", "  -b, --batch-size <N> ", "  -l, --learning-rate <X> ", "[default: digits]"]
    {
        assert!(short.contains(part), "no {part} in {short}");
    }
}

#[test]
fn a_shell_can_complete_commands_and_options() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.run(&["completions", shell]).well().stdout;
        for part in ["validation-split", "evaluate", "stratified"] {
            assert!(script.contains(part), "no {part} for {shell}");
        }
        assert!(!script.contains("lr0"), "names of other programs are not offered in {shell}");
    }
    let completed = "source <(\"$0\" completions bash); COMP_WORDS=(fitch train --val); COMP_CWORD=2
        COMP_TYPE=9 _fitch fitch --val train; echo \"${COMPREPLY[*]}\"";
    let mut bash = Command::new("bash");
    let output = bash.args(["-c", completed, env!("CARGO_BIN_EXE_fitch")]).output();
    match output {
        Ok(output) => {
            assert_eq!(String::from_utf8(output.stdout).unwrap(), "--validation --validation-split\n")
        }
        Err(fault) => {
            skipped("part of a_shell_can_complete_commands_and_options", &format!("no bash: {fault}"))
        }
    }
    place.run(&["completions", "tcsh"]).with_fault(2, &["'tcsh' for '<SHELL>'", "bash, elvish, fish"]);
}

#[test]
fn every_command_has_a_manual_page() {
    let place = Place::new();
    let finished = place.run(&["man", "--to", "man1"]).well();
    let pages = place.names("man1");
    assert_eq!(finished.stdout, format!("{} pages written to man1\n", pages.len()));
    for command in COMMANDS {
        let name = format!("fitch-{}.1", command.replace(' ', "-"));
        let page = place.read(&format!("man1/{name}"));
        assert_eq!(
            page,
            place.run(&[&["man"], &command.split(' ').collect::<Vec<_>>()[..]].concat()).well().stdout
        );
        let title = format!(".TH {} 1", name.trim_end_matches(".1"));
        assert!(page.contains(&title) && page.contains(".SH SYNOPSIS"), "{title}: {page}");
    }
    place.run(&["man", "trian"]).with_fault(2, &["there is no command 'trian'; did you mean train?"]);
}

#[test]
fn a_topic_wins_over_the_command_of_its_name_and_says_so() {
    let finished = Place::new().run(&["help", "data"]).well();
    assert!(finished.stdout.ends_with("For the command: fitch data --help\n"), "{finished:?}");
}

#[test]
fn an_unknown_topic_is_a_usage_error_that_lists_the_topics() {
    let place = Place::new();
    place.run(&["help", "trainig"]).with_fault(2, &["'trainig'", "training, data, keras"]);
    place.run(&["help", "data", "trainig"]).with_fault(2, &["'data trainig'"]);
}

#[test]
fn readme_and_guides_name_only_commands_and_options_that_exist() {
    let place = Place::new();
    let help_of = |command: &str| {
        let words: Vec<&str> = command.split(' ').collect();
        place.run(&[words.as_slice(), &["--help"]].concat()).well().stdout
    };
    let known: Vec<_> = COMMANDS.iter().map(|command| (*command, options(&help_of(command)))).collect();
    let mut checked = 0;
    for (path, page) in pages() {
        for line in command_lines(&page) {
            let arguments = line.trim_start_matches("fitch ");
            let found = known
                .iter()
                .find(|(command, _)| arguments == *command || arguments.starts_with(&format!("{command} ")));
            let Some((_, known)) = found else { panic!("{}: '{line}' names no command", path.display()) };
            for option in options(&line) {
                assert!(known.contains(&option), "{}: '{line}' has no option {option}", path.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 30, "only {checked} commands were found");
}

#[test]
fn the_training_guide_has_every_option_of_train_and_no_other() {
    let place = Place::new();
    let of = |command: &str| options(&place.run(&[command, "--help"]).well().stdout);
    let guide = fs::read_to_string(root().join("src/guide/training.md")).unwrap();
    let (guide, train) = (options(&guide), of("train"));
    let missing: Vec<_> = train.difference(&guide).collect();
    assert!(missing.is_empty(), "missing in the guide: {missing:?}");
    let known: BTreeSet<_> = ["sweep", "summary", "doctor", "plot", "evaluate", "compare", "export", "board"]
        .map(of)
        .into_iter()
        .chain([train])
        .flatten()
        .collect();
    // Other names of options, options of torchrun and srun, and a group of options.
    let other = [
        "--batch",
        "--lr",
        "--max",
        "--max-restarts",
        "--no-python",
        "--nproc-per-node",
        "--ntasks",
        "--plateau-",
    ];
    let unknown: Vec<_> =
        guide.difference(&known).filter(|option| !other.contains(&option.as_str())).collect();
    assert!(unknown.is_empty(), "unknown in the guide: {unknown:?}");
}

#[test]
fn links_of_readme_and_guides_lead_to_files() {
    for (path, page) in pages() {
        let links = page.split("](").skip(1).chain(page.split("src=\"").skip(1));
        for link in links.filter_map(|rest| rest.split([')', '"', '#']).next()) {
            let is_elsewhere = link.is_empty() || link.contains("://");
            let target = root().join(&path).parent().unwrap().join(link);
            assert!(is_elsewhere || target.exists(), "{}: {link} leads nowhere", path.display());
        }
    }
}
