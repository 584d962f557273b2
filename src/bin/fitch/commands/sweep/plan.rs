//! The plan of a sweep: from a TOML file to the options of every run.

use crate::cli::TrainOptions;
use crate::config::{self, Configuration};
use crate::failure::UsageError;
use anyhow::{Context, Result};
use fitch::device::DeviceChoice;
use fitch::metrics::Better;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use std::path::Path;
use toml::{Table, Value};

/// More runs than this are a typing error.
const MAX_RUNS: usize = 100_000;

/// Every run of a sweep, checked as `train` would check it.
#[derive(Debug)]
pub struct Plan {
    /// The names of the options that vary between runs, as the plan writes them; the fold last, if there are folds.
    pub varied: Vec<String>,
    /// How many folds each combination is trained with, one run for each; none without.
    pub folds: Option<usize>,
    /// Those of a combination one after another.
    pub runs: Vec<PlannedRun>,
}

/// The option that numbers folds.
const FOLD: &str = "fold";

#[derive(Debug)]
pub struct PlannedRun {
    /// From 1, as the folders are numbered.
    pub number: usize,
    /// The values of the varied options, in their order.
    pub values: Vec<Value>,
    /// All options that the plan gives.
    pub options: TrainOptions,
    /// What is better in the monitored metric.
    pub direction: Better,
    pub device: DeviceChoice,
}

impl PlannedRun {
    /// `learning-rate 0.01, seed 2`, for people; of the options named.
    pub fn describe(&self, varied: &[String]) -> String {
        let pairs = varied.iter().zip(&self.values).map(|(name, value)| format!("{name} {value}"));
        pairs.collect::<Vec<_>>().join(", ")
    }
}

/// A value without the quotes that TOML puts around strings.
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFile {
    #[serde(default)]
    search: Search,
    /// The number of runs of a random search.
    runs: Option<i64>,
    /// The seed of a random search.
    #[serde(default)]
    seed: u64,
    /// Trains each combination that many times, each time with another part of the training images held out.
    folds: Option<i64>,
    /// The same in every run.
    #[serde(default)]
    options: Table,
    #[serde(default)]
    vary: Table,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Search {
    /// Every combination, the last option changing fastest.
    #[default]
    Grid,
    /// Every run samples each option independently.
    Random,
}

/// The values that an option may have.
enum Choice {
    Of(Vec<Value>),
    Whole(i64, i64),
    Real { min: f64, max: f64, is_logarithmic: bool },
}

impl Plan {
    /// # Errors
    /// A file that cannot be read, or options that `train` would refuse, with the run that has them.
    pub fn read(path: &Path) -> Result<Plan> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Plan::parse(&text).map_err(|fault| match fault.downcast::<UsageError>() {
            Ok(UsageError(lines)) => {
                let lines = lines.into_iter().map(|line| format!("{}: {line}", path.display()));
                UsageError(lines.collect()).into()
            }
            Err(fault) => fault.context(path.display().to_string()),
        })
    }

    fn parse(text: &str) -> Result<Plan> {
        let wrong = |what: String| UsageError(vec![what]);
        let file: PlanFile =
            toml::from_str(text).map_err(|fault| wrong(config::plain(fault.to_string().trim_end())))?;
        if file.vary.is_empty() && file.folds.is_none() {
            return Err(wrong(
                "there is nothing to compare: [vary] lists values of options, folds = 5 above [options] \
                 trains each combination in folds"
                    .to_string(),
            )
            .into());
        }
        if file.options.contains_key("folds") {
            return Err(wrong("folds: is a line above [options]".to_string()).into());
        }
        let mut choices = Vec::new();
        for (name, value) in &file.vary {
            let choice =
                Choice::of(value, file.search).map_err(|rule| wrong(format!("vary.{name}: {rule}")))?;
            if file.options.contains_key(name) {
                return Err(wrong(format!("vary.{name}: is set in [options], too")).into());
            }
            choices.push(choice);
        }
        let combinations = match file.search {
            Search::Grid if file.runs.is_some() => {
                return Err(wrong(
                    "runs: is for search = \"random\"; a grid has every combination".to_string(),
                )
                .into());
            }
            Search::Grid => grid(&choices).map_err(wrong)?,
            Search::Random => {
                let runs = file.runs.and_then(|runs| usize::try_from(runs).ok());
                let runs = runs.filter(|runs| (1..=MAX_RUNS).contains(runs));
                let rule = format!("runs: a random search needs a number of runs, from 1 to {MAX_RUNS}");
                (0..runs.ok_or_else(|| wrong(rule))?).map(|run| draw(&choices, file.seed, run)).collect()
            }
        };
        let folds = file.folds.map(|folds| number_of_folds(folds, &file.options, &file.vary)).transpose();
        let folds = folds.map_err(wrong)?;
        let combinations = with_folds(combinations, folds).map_err(wrong)?;
        let varied: Vec<String> = file.vary.keys().cloned().chain(folds.map(|_| FOLD.to_string())).collect();
        let mut runs = Vec::new();
        for (index, values) in combinations.into_iter().enumerate() {
            let mut table = file.options.clone();
            table.extend(varied.iter().cloned().zip(values.iter().cloned()));
            let number = index + 1;
            let (options, configuration) = checked(table).map_err(|lines| {
                UsageError(lines.into_iter().map(|line| format!("run {number}: {line}")).collect())
            })?;
            let (direction, device) = (configuration.direction(), configuration.machine.device);
            runs.push(PlannedRun { number, values, options, direction, device });
        }
        Ok(Plan { varied, folds, runs })
    }
}

impl Choice {
    fn of(value: &Value, search: Search) -> Result<Choice, String> {
        const RULE: &str = "must be a list of values or, in a random search, { range = [MIN, MAX] } or \
                            { log-range = [MIN, MAX] }";
        if let Value::Array(values) = value {
            return if values.is_empty() {
                Err("has no values".to_string())
            } else {
                Ok(Choice::Of(values.clone()))
            };
        }
        let range = value.as_table().filter(|table| table.len() == 1 && search == Search::Random);
        let (kind, ends) = range.and_then(|table| table.iter().next()).ok_or(RULE)?;
        let is_logarithmic = match kind.as_str() {
            "range" => false,
            "log-range" => true,
            _ => return Err(RULE.to_string()),
        };
        let Some([min, max]) = ends.as_array().map(Vec::as_slice) else {
            return Err(RULE.to_string());
        };
        if let (Some(min), Some(max), false) = (min.as_integer(), max.as_integer(), is_logarithmic) {
            return if min < max { Ok(Choice::Whole(min, max)) } else { Err(order()) };
        }
        let number =
            |value: &Value| value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
        let (min, max) = number(min).zip(number(max)).ok_or(RULE)?;
        if !(min < max && min.is_finite() && max.is_finite()) {
            return Err(order());
        }
        if is_logarithmic && min <= 0.0 {
            return Err("a log-range begins above 0".to_string());
        }
        Ok(Choice::Real { min, max, is_logarithmic })
    }

    fn draw(&self, generator: &mut ChaCha8Rng) -> Value {
        match *self {
            Choice::Of(ref values) => values[generator.gen_range(0..values.len())].clone(),
            Choice::Whole(min, max) => generator.gen_range(min..=max).into(),
            Choice::Real { min, max, is_logarithmic: false } => short(generator.gen_range(min..max)).into(),
            Choice::Real { min, max, is_logarithmic: true } => {
                short(generator.gen_range(min.ln()..max.ln()).exp()).into()
            }
        }
    }
}

fn order() -> String {
    "the first end of a range must be below the second".to_string()
}

/// Rounds to four digits: exact enough for a search, and readable.
fn short(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

fn grid(choices: &[Choice]) -> Result<Vec<Vec<Value>>, String> {
    let mut combinations: Vec<Vec<Value>> = vec![Vec::new()];
    for choice in choices {
        let Choice::Of(values) = choice else { return Err("a range needs search = \"random\"".to_string()) };
        if combinations.len() * values.len() > MAX_RUNS {
            return Err(format!("there are more than {MAX_RUNS} combinations"));
        }
        let longer = |combination: &Vec<Value>| {
            let longer =
                values.iter().map(|value| [combination.as_slice(), std::slice::from_ref(value)].concat());
            longer.collect::<Vec<_>>()
        };
        combinations = combinations.iter().flat_map(longer).collect();
    }
    Ok(combinations)
}

/// Checks the number of folds, and that nothing else says what is held out.
fn number_of_folds(folds: i64, options: &Table, vary: &Table) -> Result<usize, String> {
    const MAX_FOLDS: i64 = 1000;
    if !(2..=MAX_FOLDS).contains(&folds) {
        return Err(format!("folds: {folds}: must be a whole number from 2 to {MAX_FOLDS}"));
    }
    for key in options.keys().chain(vary.keys()) {
        if [FOLD, "validation-split", "validation"].contains(&key.replace('_', "-").as_str()) {
            return Err(format!("folds: cannot be used with {key}: the folds are what is held out"));
        }
    }
    usize::try_from(folds).map_err(|fault| format!("folds: {fault}"))
}

/// Each combination once for each fold, with the fold as its last value.
fn with_folds(combinations: Vec<Vec<Value>>, folds: Option<usize>) -> Result<Vec<Vec<Value>>, String> {
    let Some(folds) = folds else { return Ok(combinations) };
    if combinations.len() * folds > MAX_RUNS {
        return Err(format!("folds: there are more than {MAX_RUNS} runs"));
    }
    let of_folds = |combination: &Vec<Value>| {
        let fold = |index| Value::from(format!("{index}/{folds}"));
        let runs = (1..=folds).map(|index| [combination.as_slice(), &[fold(index)]].concat());
        runs.collect::<Vec<_>>()
    };
    Ok(combinations.iter().flat_map(of_folds).collect())
}

/// Each run has its own random stream, so that the first runs stay the same when there are more.
fn draw(choices: &[Choice], seed: u64, run: usize) -> Vec<Value> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(run as u64);
    choices.iter().map(|choice| choice.draw(&mut generator)).collect()
}

/// The options of a run, after `train`'s own checks.
fn checked(table: Table) -> Result<(TrainOptions, Configuration), Vec<String>> {
    let options = config::options_of(table)?;
    if options.out.is_some() {
        return Err(vec![
            "out: a sweep names the folder of each run; --out names that of the sweep".to_string(),
        ]);
    }
    let resolved = config::resolve(&options).and_then(|(whole, _)| config::check(&whole));
    match resolved {
        Ok(configuration) => Ok((options, configuration)),
        Err(fault) => Err(match fault.downcast::<UsageError>() {
            Ok(UsageError(lines)) => lines,
            Err(fault) => vec![format!("{fault:#}")],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::RateOption;

    fn values(plan: &str) -> Vec<String> {
        let plan = Plan::parse(plan).unwrap();
        plan.runs.iter().map(|run| run.describe(&plan.varied)).collect()
    }

    fn fault(plan: &str) -> String {
        Plan::parse(plan).unwrap_err().to_string()
    }

    #[test]
    fn a_grid_has_every_combination_the_last_option_changing_fastest() {
        let plan = "[options]\nepochs = 3\n[vary]\nlayers = ['dense 8', 'dense 9, relu']\nseed = [0, 1]\n";
        assert_eq!(
            values(plan),
            [
                "layers \"dense 8\", seed 0",
                "layers \"dense 8\", seed 1",
                "layers \"dense 9, relu\", seed 0",
                "layers \"dense 9, relu\", seed 1"
            ]
        );
        let runs = Plan::parse(plan).unwrap().runs;
        assert_eq!((runs[3].number, runs[3].options.epochs, runs[3].options.seed), (4, Some(3), Some(1)));
    }

    /// The last one won.
    #[test]
    fn an_option_under_both_of_its_names_is_given_twice() {
        for plan in [
            "[options]\nbatch-size = 8\nbatch_size = 16\n[vary]\nseed = [0]\n",
            "[options]\nbatch-size = 8\n[vary]\nbatch_size = [16, 32]\n",
            "[vary]\nbatch-size = [8]\nbatch_size = [16]\n",
        ] {
            assert!(fault(plan).contains("batch-size: is given twice, as batch_size too"), "{}", fault(plan));
        }
    }

    #[test]
    fn a_random_search_stays_within_its_ranges_and_more_runs_leave_the_first_unchanged() {
        let plan = |runs: usize, seed: u64| {
            format!(
                "search = 'random'\nruns = {runs}\nseed = {seed}\n[vary]\n\
                 learning-rate = {{ log-range = [1e-4, 1] }}\nbatch-size = {{ range = [16, 20] }}\n\
                 validation-split = {{ range = [0.1, 0.3] }}\nsplit = ['last', 'shuffled']\n"
            )
        };
        let runs = Plan::parse(&plan(200, 0)).unwrap().runs;
        let rate = |run: &PlannedRun| match run.options.learning_rate {
            Some(RateOption::Rate(rate)) => rate,
            other => panic!("{other:?}"),
        };
        let rates: Vec<f64> = runs.iter().map(rate).collect();
        assert!(rates.iter().all(|rate| (1e-4..=1.0).contains(rate)));
        // Half of them are below the geometric mean of the ends: 100 of 200, 7 being the deviation.
        let low = rates.iter().filter(|rate| **rate < 1e-2).count();
        assert!((65..=135).contains(&low), "{low}");
        let sizes = |size: i64| runs.iter().filter(|run| run.options.batch_size == Some(size)).count();
        assert!((16..=20).all(|size| sizes(size) > 10) && (16..=20).map(sizes).sum::<usize>() == 200);
        assert_eq!(values(&plan(200, 0))[..5], values(&plan(5, 0)));
        assert_ne!(values(&plan(5, 0)), values(&plan(5, 1)));
    }

    #[test]
    fn each_combination_is_planned_once_for_each_fold() {
        let plan = "folds = 3\n[vary]\nbatch-size = [8, 16]\n";
        let runs = values(plan);
        assert_eq!(runs.len(), 6);
        assert_eq!(runs[..2], ["batch-size 8, fold \"1/3\"", "batch-size 8, fold \"2/3\""]);
        assert_eq!(runs[5], "batch-size 16, fold \"3/3\"");
        assert_eq!(Plan::parse(plan).unwrap().runs[4].options.fold.as_deref(), Some("2/3"));
        for (folds, rest, expected) in [
            ("1", "", "folds: 1: must be a whole number from 2"),
            ("-5", "", "folds: -5: must be"),
            ("2", "validation_split = 0.2", "folds: cannot be used with validation_split"),
            ("2", "validation = 'there'", "folds: cannot be used with validation:"),
            ("2", "fold = '1/2'", "folds: cannot be used with fold:"),
            ("2", "split = 'last'", "run 1: --fold 1/2: cannot be used with --split last"),
        ] {
            let fault = fault(&format!("folds = {folds}\n[options]\n{rest}\n[vary]\nseed = [0]\n"));
            assert!(fault.contains(expected), "{fault}");
        }
    }

    #[test]
    fn a_learning_rate_may_be_one_that_each_run_tests() {
        let runs = Plan::parse("[vary]\nlearning-rate = [0.01, 'auto', 1]\n").unwrap().runs;
        let rates: Vec<_> = runs.iter().map(|run| run.options.learning_rate).collect();
        let rate = |rate| Some(RateOption::Rate(rate));
        assert_eq!(rates, [rate(0.01), Some(RateOption::Auto), rate(1.0)]);
    }

    #[test]
    fn a_wrong_plan_is_an_error_that_names_the_place() {
        assert!(fault("[options]\nepochs = 1\n").contains("vary"));
        assert!(fault("[vary]\nseed = []\n").contains("vary.seed: has no values"));
        assert!(fault("[vary]\nseed = 3\n").contains("vary.seed: must be a list"));
        assert!(fault("[vary]\nseed = { range = [1, 2] }\n").contains("vary.seed: must be a list"));
        assert!(fault("runs = 3\n[vary]\nseed = [1]\n").contains("runs: is for search = \"random\""));
        assert!(fault("search = 'random'\n[vary]\nseed = [1]\n").contains("runs: a random search needs"));
        let random = |vary: &str| fault(&format!("search = 'random'\nruns = 2\n[vary]\n{vary}\n"));
        assert!(random("seed = { range = [2, 1] }").contains("must be below"));
        assert!(random("learning-rate = { log-range = [0, 1] }").contains("begins above 0"));
        assert!(random("seed = { log = [1, 2] }").contains("must be a list"));
        assert!(fault("[options]\nseed = 1\n[vary]\nseed = [1]\n").contains("set in [options], too"));
        assert!(fault("[vary]\nseed = [1, -1]\n").contains("run 2: --seed -1: must be"));
        assert!(fault("[vary]\nsead = [1]\n").contains("run 1: unknown option 'sead'; did you mean seed?"));
        assert!(fault("[options]\nout = 'x'\n[vary]\nseed = [1]\n").contains("--out names that"));
        assert!(fault("seach = 'random'\n[vary]\nseed = [1]\n").contains("unknown field `seach`"));
        let long = format!("a = {:?}\n", (0..400).collect::<Vec<_>>());
        assert!(fault(&format!("[vary]\n{long}{}", long.replace('a', "b"))).contains("more than 100000"));
    }
}
