use super::*;
use crate::cli::{Cli, Command};
use crate::failure::UsageError;
use clap::Parser;
use fitch::device::DeviceChoice;
use fitch::metrics::ClassMetric;
use fitch::model::presets::PRESETS;
use fitch::train::callbacks::EarlyStoppingSettings;

/// The options of a command line, as the program reads them.
fn flags(line: &[&str]) -> TrainOptions {
    let Command::Train(options) = Cli::parse_from([&["fitch", "train"], line].concat()).command else {
        panic!("not the options of train")
    };
    *options
}

fn configured(line: &[&str]) -> Result<Configuration> {
    check(&resolve(&flags(line))?.0)
}

fn layers_text(configuration: &Configuration) -> String {
    match &configuration.architecture {
        Architecture::Layers(layers) => layers.to_string(),
        Architecture::File(path) => panic!("not layers: {}", path.display()),
    }
}

/// The faults of a command line, which must be usage errors.
fn faults(line: &[&str]) -> Vec<String> {
    match configured(line) {
        Ok(_) => panic!("{line:?} was taken"),
        Err(fault) => fault.downcast::<UsageError>().unwrap().0,
    }
}

/// A TOML file, kept as long as the folder.
fn toml_file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("options.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path.display().to_string())
}

#[test]
fn without_options_the_defaults_hold() {
    let configuration = configured(&[]).unwrap();
    assert_eq!(configuration.source, Source::Digits);
    assert_eq!((configuration.epochs, configuration.batch_size, configuration.seed), (100, 128, 0));
    assert_eq!(
        (configuration.optimization.learning_rate, configuration.validation_share),
        (Some(0.001), 0.1)
    );
    assert_eq!(layers_text(&configuration), PRESETS[0].layers);
    assert_eq!(
        (configuration.split, configuration.machine.device),
        (SplitMethod::Stratified, DeviceChoice::Auto)
    );
    assert_eq!((configuration.monitor.as_str(), configuration.direction()), ("val_loss", Better::Lower));
    let Stopping::Patience(settings) = configuration.stopping else { panic!() };
    assert_eq!(settings, EarlyStoppingSettings { patience: 5, ..EarlyStoppingSettings::default() });
    assert!(
        !configuration.keep_last_weights && configuration.plateau.is_none() && configuration.limit.is_none()
    );
    assert_eq!(configuration.machine.threads, std::thread::available_parallelism().unwrap().get());
}

#[test]
fn every_bad_value_is_reported_with_its_flag_and_its_rule() {
    for (line, expected) in [
        (["--validation-split", "1"], "--validation-split 1: must be a share from 0 to below 1"),
        (["--validation-split", "-0.1"], "--validation-split -0.1: must be a share"),
        (["--validation-split", "nan"], "--validation-split NaN: must be a share"),
        (["--limit", "0"], "--limit 0: must be a whole number of at least 1"),
        (["--epochs", "0"], "--epochs 0: must be a whole number of at least 1"),
        (["--epochs", "-5"], "--epochs -5: must be"),
        (["--batch-size", "0"], "--batch-size 0: must be"),
        (["--learning-rate", "0"], "--learning-rate 0: must be a number above 0"),
        (["--learning-rate", "-1"], "--learning-rate -1: must be"),
        (["--learning-rate", "inf"], "--learning-rate inf: must be"),
        (["--seed", "-1"], "--seed -1: must be a whole number of at least 0"),
        (["--time-limit", "10"], "--time-limit 10: must be a time above 0 with its unit"),
        (["--time-limit", "0s"], "--time-limit 0s: must be"),
        (["--monitor", "error"], "--monitor error: must be one of accuracy, loss, val_accuracy, val_loss"),
        (["--monitor", "auc"], "--monitor auc: is measured of the validation images only, as val_auc"),
        (["--metrics", "f1,acu"], "--metrics: 'acu' is none of loss, accuracy"),
        (["--metrics", "f1, top3,f1"], "--metrics: f1 is named twice"),
        (["--metrics", "val_f1"], "--metrics: f1 measures the validation images, too, as val_f1"),
        (["--metrics", "f1,,auc"], "--metrics: '' is none of"),
        (["--metrics", "top0"], "--metrics: 'top0' is none of"),
        (["--patience", "-1"], "--patience -1: must be a whole number of at least 0"),
        (["--min-delta", "-0.5"], "--min-delta -0.5: must be a finite number of at least 0"),
        (["--baseline", "nan"], "--baseline NaN: must be a finite number"),
        (["--start-from-epoch", "-1"], "--start-from-epoch -1: must be"),
        (["--stopping-threshold", "inf"], "--stopping-threshold inf: must be a finite number"),
        (["--divergence-threshold", "nan"], "--divergence-threshold NaN: must be a finite number"),
        (["--plateau-patience", "0"], "--plateau-patience 0: must be a whole number of at least 1"),
        (["--plateau-factor", "1"], "--plateau-factor 1: must be above 0 and below 1"),
        (["--plateau-min-delta", "-1"], "--plateau-min-delta -1: must be"),
        (["--plateau-cooldown", "-1"], "--plateau-cooldown -1: must be"),
        (["--min-learning-rate", "-1"], "--min-learning-rate -1: must be"),
        (["--device", "gpu"], "--device gpu: must be auto, cpu, cuda or cuda:N"),
        (["--threads", "0"], "--threads 0: must be a whole number from 1 to 1024"),
        (["--threads", "5000"], "--threads 5000: must be"),
        (["--dataset", "mnits"], "--dataset mnits: 'mnits' is neither a data set (digits, mnist"),
        (["--layers", "dense 5, rely"], "--layers: 'rely' is not a layer kind"),
    ] {
        let faults = faults(&line);
        assert!(faults.len() == 1 && faults[0].starts_with(expected), "{line:?}: {faults:?}");
    }
}

#[test]
fn all_bad_values_are_reported_at_once() {
    let faults = faults(&["--epochs", "0", "--learning-rate", "-1", "--layers", "x", "--device", "tpu"]);
    for flag in ["--epochs", "--learning-rate", "--layers", "--device"] {
        assert_eq!(faults.iter().filter(|fault| fault.starts_with(flag)).count(), 1, "{faults:?}");
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let watch_nothing = faults(&["--validation-split", "0", "--monitor", "val_loss"]);
    assert!(
        watch_nothing[0].contains("needs validation images, but --validation-split is 0"),
        "{watch_nothing:?}"
    );
    let auc = faults(&["--validation-split", "0", "--metrics", "f1,auc"]);
    assert!(auc[0].contains("auc needs validation images"), "{auc:?}");
    let theano = faults(&["--stopping", "theano", "--monitor", "val_accuracy"]);
    assert!(theano[0].contains("watches val_loss only"), "{theano:?}");
    assert!(faults(&["--stopping", "theano", "--patience", "0"])[0].contains("at least 1"));
}

#[test]
fn without_validation_early_stopping_is_off_with_a_warning() {
    let (options, warnings) = resolve(&flags(&["--validation-split", "0"])).unwrap();
    let configuration = check(&options).unwrap();
    assert!(matches!(configuration.stopping, Stopping::Never));
    assert_eq!(configuration.monitor, "loss");
    assert!(warnings.len() == 1 && warnings[0].contains("early stopping is off"), "{warnings:?}");

    let line = ["--validation-split", "0", "--monitor", "accuracy"];
    let (options, warnings) = resolve(&flags(&line)).unwrap();
    assert!(matches!(check(&options).unwrap().stopping, Stopping::Patience(_)), "asked for");
    assert!(warnings.is_empty());
}

#[test]
fn the_direction_follows_from_the_metric_unless_given() {
    let direction = |line: &[&str]| configured(line).unwrap().direction();
    assert_eq!(direction(&["--monitor", "val_accuracy"]), Better::Higher);
    assert_eq!(direction(&["--monitor", "loss"]), Better::Lower);
    assert_eq!(direction(&["--monitor", "loss", "--mode", "max"]), Better::Higher);
    assert_eq!(direction(&["--monitor", "val_f1"]), Better::Higher);
    assert_eq!(direction(&["--monitor", "val_brier"]), Better::Lower);
}

#[test]
fn a_metric_that_is_watched_is_measured_and_what_is_always_there_is_not_measured_twice() {
    let metrics = |line: &[&str]| configured(line).unwrap().metrics;
    assert_eq!(metrics(&[]), []);
    let named = metrics(&["--metrics", "accuracy, balanced-accuracy,top4", "--monitor", "val_auc"]);
    assert_eq!(named, [ClassMetric::BalancedAccuracy, ClassMetric::Top(4), ClassMetric::Auc]);
    assert_eq!(metrics(&["--metrics", "f1", "--monitor", "f1"]), [ClassMetric::F1]);
}

#[test]
fn the_growing_patience_has_its_own_default() {
    let stopping = |line: &[&str]| configured(line).unwrap().stopping;
    assert!(matches!(stopping(&["--stopping", "theano"]), Stopping::Theano(10_000)));
    assert!(matches!(stopping(&["--stopping", "theano", "--patience", "300"]), Stopping::Theano(300)));
}

#[test]
fn a_file_gives_options_and_flags_win() {
    let (_folder, path) = toml_file(
        "epochs = 7\nbatch-size = 32\nlearning_rate = 1e-2\nlayers = \"\"\"\ndense 30\nrelu\"\"\"\n\
         keep-last-weights = true\nsplit = \"last\"\n",
    );
    let configuration = configured(&["--config", &path, "--epochs", "3"]).unwrap();
    assert_eq!((configuration.epochs, configuration.batch_size), (3, 32));
    assert_eq!(configuration.optimization.learning_rate, Some(0.01));
    assert_eq!(layers_text(&configuration), "dense 30, relu");
    assert!(configuration.keep_last_weights);
    assert_eq!(configuration.split, SplitMethod::Last);
    assert!(!configured(&["--config", &path, "--keep-last-weights=false"]).unwrap().keep_last_weights);
}

#[test]
fn faults_of_a_file_name_it_and_its_key() {
    for (text, expected) in [
        ("epoch = 3", "unknown option 'epoch'; did you mean epochs?"),
        ("datset = 'mnist'", "unknown option 'datset'; did you mean dataset?"),
        ("batch_sise = 3", "unknown option 'batch_sise'; did you mean batch-size?"),
        ("zzz = 3", "unknown option 'zzz'; there are dataset, data-dir, "),
        ("resume = 'run'", "unknown option 'resume'"),
        ("batch-size = 32\nbatch_size = 64", "batch-size: is given twice, as batch_size too"),
        ("epochs = \"many\"", "epochs: invalid type: string \"many\", expected a whole number"),
        ("batch-size = 1.5", "batch-size: invalid type: floating point `1.5`, expected a whole number"),
        ("test-split = 'a'", "test-split: invalid type: string \"a\", expected a number"),
        ("layers = [3]", "layers: a string or a list of strings"),
        ("split = \"first\"", "split: unknown value `first`, expected one of stratified, shuffled, last"),
        ("data-format = \"jpeg\"", "data-format: unknown value `jpeg`, expected one of idx, pictures, csv"),
        ("epochs = ", "TOML parse error"),
    ] {
        let (_folder, path) = toml_file(text);
        let faults = faults(&["--config", &path]);
        assert!(faults[0].contains("options.toml") && faults[0].contains(expected), "{text}: {faults:?}");
    }
    let (_folder, path) = toml_file("epochs = 0");
    assert!(
        faults(&["--config", &path])[0].contains("--epochs 0: must be"),
        "values are checked as those of flags"
    );
    let fault = configured(&["--config", "nowhere.toml"]).unwrap_err();
    assert!(format!("{fault:#}").contains("cannot read nowhere.toml: No such file"), "{fault:#}");
}

#[test]
fn all_faults_of_a_file_are_reported_at_once() {
    let (_folder, path) = toml_file("epoch = 3\nseed = 'x'\n");
    let faults = faults(&["--config", &path]);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].contains("did you mean epochs?") && faults[1].contains("seed: "), "{faults:?}");
}

#[test]
fn a_file_may_list_layers_and_give_whole_numbers_for_real_ones() {
    let (_folder, path) = toml_file("layers = ['dense 30', 'relu']\nbaseline = 1\ntest-split = 0\n");
    let configuration = configured(&["--config", &path]).unwrap();
    assert_eq!(layers_text(&configuration), "dense 30, relu");
    assert_eq!(configuration.reading.test_share, Some(0.0));
}

#[test]
fn a_file_may_have_numbers_and_lists_where_flags_are_texts() {
    let (_folder, path) = toml_file(
        "image-size = 8\ngroup-column = 1\ncheckpoint-every = 500\nclass-weights = [1, 2.5]\naugment = ['flip', 'rotate 5']\n",
    );
    let options = resolve(&flags(&["--config", &path])).unwrap().0;
    assert_eq!(
        [options.data.image_size, options.data.group_column, options.checkpoint_every],
        ["8", "1", "500"].map(|text| Some(text.to_string()))
    );
    assert_eq!(options.class_weights.as_deref(), Some("1,2.5"));
    assert_eq!(options.augment.as_deref(), Some("flip,rotate 5"));
}

#[test]
fn options_that_have_no_effect_are_named() {
    let warnings = |line: &[&str]| resolve(&flags(line)).unwrap().1;
    assert_eq!(
        warnings(&["--plateau-factor", "0.5", "--min-learning-rate", "0.1", "--schedule-step", "3"]),
        [
            "--plateau-factor, --min-learning-rate: without effect without --plateau-patience",
            "--schedule-step: without effect without --schedule step",
        ]
    );
    let stopping = ["--no-early-stopping", "--patience", "3"];
    assert_eq!(warnings(&stopping), ["--patience: without effect with --no-early-stopping"]);
    assert!(warnings(&["--plateau-factor", "0.5", "--plateau-patience", "1", "--patience", "3"]).is_empty());
}

#[test]
fn near_misses_are_corrected() {
    for (line, expected) in [
        (["--dataset", "minst"], "; did you mean mnist?"),
        (["--dataset", "digit"], "; did you mean digits?"),
        (["--monitor", "val_acc"], "; did you mean val_accuracy?"),
        (["--monitor", "val_f"], "; did you mean val_f1?"),
        (["--metrics", "balanced"], "; did you mean balanced_accuracy?"),
    ] {
        let faults = faults(&line);
        assert!(faults.len() == 1 && faults[0].ends_with(expected), "{line:?}: {faults:?}");
    }
    let far = faults(&["--dataset", "./somewhere"]);
    assert!(!far[0].contains("did you mean"), "{far:?}");
}

#[test]
fn a_record_of_an_earlier_version_has_the_defaults_it_left_out() {
    let (options, _) = resolve(&flags(&["--epochs", "3"])).unwrap();
    let whole = serde_json::to_value(&options).unwrap();
    // Version 0.1.0 recorded null for these defaults, and had an option that is gone.
    let mut earlier = whole.clone();
    for name in
        ["optimizer", "schedule", "weight_decay", "momentum", "label_smoothing", "warm_up", "skip_bad"]
    {
        earlier[name] = serde_json::Value::Null;
    }
    earlier.as_object_mut().unwrap().remove("precision");
    earlier["adam"] = "fused".into();
    let read = |config: &serde_json::Value| options_of_record(config).map_err(|fault| format!("{fault:#}"));
    assert_eq!(serde_json::to_value(read(&earlier).unwrap()).unwrap(), whole);
    assert!(!had_reference_adam(&earlier) && !had_reference_adam(&whole));
    earlier["adam"] = "reference".into();
    assert!(had_reference_adam(&earlier) && read(&earlier).is_ok(), "it can still be evaluated");
    earlier["novelty"] = 1.into();
    assert!(read(&earlier).unwrap_err().contains("config has 'novelty', which is not an option"));
}

#[test]
fn defaults_are_recorded_as_they_are() {
    let recorded = serde_json::to_value(resolve(&flags(&[])).unwrap().0).unwrap();
    for (name, expected) in [("optimizer", "adam"), ("schedule", "constant"), ("precision", "float32")] {
        assert_eq!(recorded[name], expected);
    }
    assert_eq!((&recorded["test_split"], &recorded["weight_decay"]), (&0.1.into(), &0.0.into()));
    assert!(recorded.as_object().unwrap().keys().all(|name| !name.contains('-') && name != "data"));
}

#[test]
fn recorded_options_read_back_to_the_same_configuration() {
    let (options, _) = resolve(&flags(&["--epochs", "3", "--baseline", "0.5", "--mode", "min"])).unwrap();
    let recorded = serde_json::to_value(&options).unwrap();
    let read: TrainOptions = serde_json::from_value(recorded.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), recorded);
    assert_eq!(check(&read).unwrap().epochs, 3);
}

#[path = "../../../../tests/fuzz/damage.rs"]
mod damage;

#[test]
fn a_damaged_file_of_options_is_an_error_and_nothing_worse() {
    use rand::SeedableRng;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("options.toml");
    let whole = b"dataset = \"digits\"\nlayers = \"dense 30, relu\"\nepochs = 3\nlearning-rate = 0.01\n\
                  patience = 4\nsplit = \"last\"\ntime-limit = \"10m\"\ncheck_finite = true\nkeep = 3\n";
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        check(&resolve(&TrainOptions { config: Some(path.clone()), ..TrainOptions::default() })?.0)
    };
    read(whole).unwrap();
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let mut refused = 0;
    for _ in 0..20_000 {
        let mut bytes = whole.to_vec();
        damage::damage(&mut bytes, &mut random);
        refused += usize::from(read(&bytes).is_err());
    }
    assert!(refused > 5_000, "{refused}");
}
