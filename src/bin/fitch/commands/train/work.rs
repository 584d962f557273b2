//! What a training works on: device, processes, data and network, as the options ask for them.

use super::checks::check_metrics;
use super::groups::Grouping;
use super::splits::Splits;
use super::{initial_network, optimizer, processes};
use crate::cli::TrainOptions;
use crate::commands::built_model::RecordedRun;
use crate::commands::copies;
use crate::commands::ignored_options::ignored_options;
use crate::commands::start_libtorch_at;
use crate::commands::understood::Understood;
use crate::config::{self, Architecture, Configuration};
use crate::failure::UsageError;
use crate::precision::Precision;
use crate::progress::{DownloadProgress, Shown};
use crate::signals;
use crate::terminal::Terminal;
use anyhow::{Context, Result, bail};
use fitch::data::{Dataset, Source};
use fitch::device;
use fitch::distributed::{Group, Place};
use fitch::model::Network;
use fitch::run::WeightsRecord;
use fitch::text::counted;
use tch::Device;

/// What a training works on.
pub struct Work {
    pub configuration: Configuration,
    pub device: Device,
    pub dataset: Dataset,
    /// Where the images come from, looked into.
    pub source: Source,
    /// Of all its images.
    pub fingerprint: String,
    pub splits: Splits,
    /// Of each class in the training loss; none if they are equal.
    pub class_weights: Option<Vec<f32>>,
    /// Not trained yet.
    pub network: Network,
    /// Where its weights come from, if they are not freshly initialised.
    pub weights: Option<WeightsRecord>,
    /// The processes that train together; this one alone as a rule.
    pub group: Group,
}

impl Work {
    /// What is shown of the training.
    pub fn shown(&self, terminal: &Terminal) -> Shown {
        let Work { configuration, splits, .. } = self;
        Shown {
            style: configuration.progress.on(terminal),
            monitor: configuration.monitor.clone(),
            direction: configuration.direction(),
            validates: splits.validation.is_some(),
            time_limit: configuration.time_limit,
        }
    }

    /// What must be the same in all processes of a group.
    pub fn common_lines(&self, options: &TrainOptions, is_resumed: bool) -> Result<String> {
        if self.group.size() == 1 {
            return Ok(String::new());
        }
        Ok(format!(
            "fitch = {}\ncontinues a run = {is_resumed}\n{}fingerprint of the images = {}\nnetwork = {}\n",
            env!("CARGO_PKG_VERSION"),
            toml::to_string(&config::common(options)?)?,
            self.fingerprint,
            self.network.file_digest().unwrap_or_default()
        ))
    }
}

/// The device, the images and the network.
pub fn prepare(
    mut configuration: Configuration,
    place: Option<&Place>,
    resumed: Option<&RecordedRun>,
    terminal: &Terminal,
) -> Result<Work> {
    let precision = configuration.precision;
    let chosen = start_libtorch_at(place, configuration.machine)?;
    let (name, threads) = (device::device_name(chosen.device), configuration.machine.threads);
    let processes = place.map_or(String::new(), |place| format!(" in each of {} processes", place.size));
    terminal.say(&format!("device: {name} ({}), {}{processes}", chosen.reason, counted(threads, "thread")));
    let group = match place {
        Some(place) => {
            let mut tell = |missing: &[usize]| terminal.must_say(&processes::waiting(place, missing));
            Group::join(place, chosen.device, configuration.peer_timeout, &mut tell)?
        }
        None => Group::alone(),
    };

    set_precision(precision, chosen.device, terminal)?;

    signals::explain_bus_errors();
    let mut download = DownloadProgress::new(terminal, configuration.progress);
    let reading = &configuration.reading;
    let source = configuration.source.located(reading, &mut |event| download.show(event))?;
    let dataset = source.load_with(reading, &mut |event| download.show(event))?;
    // A run that is resumed has reported them, and has dropped what it now drops again.
    let reports_copies = resumed.is_none() && group.is_first();
    let (fingerprint, digests) = match reports_copies || configuration.drops_duplicates {
        true => {
            dataset.fingerprint_and_digests().map(|(fingerprint, digests)| (fingerprint, Some(digests)))?
        }
        false => (dataset.fingerprint()?, None),
    };
    let splits = Splits::split(&dataset, &source, &configuration, digests)?;
    if let Some(augmentation) = &configuration.augmentation {
        let range = splits.range.map(|value| value / dataset.maximum);
        augmentation.check(&dataset.shape(), range).context("--augment")?;
    }
    terminal.say(&splits.describe(&dataset.name, &configuration));
    initial_network::check_normalization(&configuration, &dataset)?;
    let are_standardized = match &configuration.architecture {
        Architecture::Layers(layers) => {
            layers.are_standardized() && !layers.are_normalized() || dataset.has_mixed_ranges()?
        }
        Architecture::File(_) => false,
    };
    let understood = Understood {
        dataset: &dataset,
        format: source.format_name().unwrap_or_default(),
        reading: &configuration.reading,
        class_counts: &splits.class_counts,
        range: splits.range,
        are_standardized,
    };
    if matches!(source, Source::Path { .. }) {
        understood.lines().iter().for_each(|line| terminal.say(line));
        understood.group_warning().iter().for_each(|warning| terminal.warn(warning));
    }
    splits.grouping.iter().flat_map(Grouping::lines).for_each(|line| terminal.say(&line));
    splits.notes.iter().for_each(|note| terminal.warn(note));
    check_metrics(&configuration.metrics, &dataset.classes, splits.validation.as_ref(), terminal)?;
    if let Some(copies) = splits.copies.as_ref().filter(|_| reports_copies) {
        copies::tell(&dataset, copies, &splits.sizes(), splits.copies_dropped, terminal);
    }
    ignored_options(&source, reading, &dataset).iter().for_each(|fault| terminal.warn(fault));
    let weights = &configuration.optimization.class_weights;
    let class_weights = optimizer::class_weights(weights, &splits, &dataset.classes)?;
    class_weights.iter().for_each(|weights| terminal.say(&understood.class_weights(weights)));

    if let Architecture::Layers(layers) = &mut configuration.architecture {
        if layers.standardize_within() {
            let fault =
                "--layers: standardize must be the first layer: it takes the means of the training samples";
            return Err(UsageError(vec![fault.to_string()]).into());
        }
        if are_standardized {
            *layers = layers.clone().standardized();
        }
        if configuration.normalization.is_some() {
            *layers = layers.clone().normalized();
        }
    }
    let network = initial_network::build(&configuration, &dataset, &splits, chosen.device, terminal)?;
    let weights = initial_network::take_weights(&configuration, &network, &group, resumed, terminal)?;
    Ok(Work {
        configuration,
        device: chosen.device,
        dataset,
        source,
        fingerprint,
        splits,
        class_weights,
        network,
        weights,
        group,
    })
}

/// Sets the device to a precision; refuses one that it does not have.
fn set_precision(precision: Precision, device: Device, terminal: &Terminal) -> Result<()> {
    match (precision, device) {
        (Precision::Tf32, Device::Cpu) => {
            bail!("--precision tf32 works on CUDA devices only; a CPU has float32 and bf16")
        }
        (Precision::Tf32, _) => {
            if !device::has_bfloat16(device) {
                terminal.warn("this GPU has no TF32 (compute capability 8.0): it computes in float32");
            }
            device::allow_tf32(true)
        }
        (Precision::Bf16, _) if !device::has_bfloat16(device) => {
            terminal.warn("this device has no instructions for bfloat16: float32 is faster on it");
            Ok(())
        }
        _ => Ok(()),
    }
}
