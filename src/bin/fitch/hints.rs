//! What users of the program can do about faults of the library, which knows no flags.

use crate::suggestion::nearest;
use fitch::data::Fault;
use fitch::device::{self, NoDevice};
use fitch::distributed;
use fitch::model::ScriptFault;

/// The advice for a fault of data, if the program has any.
pub fn hint_for_data_fault(fault: &Fault) -> Option<String> {
    Some(match fault {
        Fault::AmbiguousFormat { keywords: [first, second], .. } => {
            format!("choose with --data-format {first} or --data-format {second}")
        }
        Fault::UnreadableImage { remedy, .. } => {
            let skip = "--skip-bad leaves out images that cannot be read";
            remedy.as_ref().map_or(skip.to_string(), |remedy| format!("{remedy}; {skip}"))
        }
        Fault::ForeignKind { remedy, .. } | Fault::ForeignImages { remedy, .. } => remedy.clone(),
        Fault::EmptyClass { remedy: Some(remedy), .. } => remedy.clone(),
        Fault::EmptyClass { .. } => "--classes NAMES uses only the classes that it names".to_string(),
        Fault::UnknownSplit { .. } => {
            "rename the folder or move it elsewhere; --validation PATH takes validation images from anywhere"
                .to_string()
        }
        Fault::UnknownSplits { folders, .. } => {
            format!("rename them; if they are classes, --classes {} says so", folders.join(","))
        }
        Fault::SizesDiffer { first_size: [height, width], .. } => {
            format!("--image-size {height}x{width} scales all images to one size")
        }
        Fault::NoLabelColumn { .. } => {
            "--label-column NAME says which column holds the labels (or its index, from 0)".to_string()
        }
        Fault::UnknownLabelColumn { .. } => {
            "--label-column takes the name of a column or its index, from 0".to_string()
        }
        Fault::TextColumns { .. } => {
            "write the table without these columns, or with numbers in their place; --label-column NAME says \
             which column holds the labels, --group-column NAME which one says whose they are (writer, patient)"
                .to_string()
        }
        Fault::UnknownGroupColumn { column, columns } => {
            match nearest(column, columns.iter().map(String::as_str)) {
                Some(name) => format!("did you mean {name}?"),
                None => "--group-column takes the name of a column or its index, from 0".to_string(),
            }
        }
        Fault::NoGroups { .. } => {
            "--group-column works with CSV and Parquet tables, --group-pattern with folders of images"
                .to_string()
        }
        Fault::UngroupedNames { .. } => {
            "--group-pattern must match every file name; one with a slash is matched with the path below the \
             folder of the data"
                .to_string()
        }
        Fault::SmallClass { images, .. } if *images > 1 => format!(
            "use at most {images} folds; --classes NAMES leaves the class out, --split shuffled ignores classes"
        ),
        Fault::SmallClass { .. } => {
            "--classes NAMES leaves the class out, --split shuffled ignores classes".to_string()
        }
        Fault::OneGroup { .. } | Fault::TooFewGroups { .. } => {
            "bring data of more groups, or a test set or validation images (--validation PATH) of others"
                .to_string()
        }
        Fault::MissingValues { .. } => {
            "--missing mean puts the mean of the column in their place".to_string()
        }
        Fault::NoTestShare | Fault::TestShare { .. } => {
            "--test-split SHARE sets aside another share of the images as the test set".to_string()
        }
        Fault::UnknownClass { .. } => "--classes takes names of classes, separated by commas".to_string(),
        Fault::ValidationShape { expected, .. } => match expected[..] {
            [height, width] | [_, height, width] => {
                format!(
                    "--image-size {height}x{width} scales images in folders and Parquet files to one size"
                )
            }
            _ => return None,
        },
        Fault::CacheNotWritable { .. } | Fault::NoCacheFolder => {
            "--data-dir FOLDER chooses another place for downloads and decoded images".to_string()
        }
        _ => return None,
    })
}

/// The advice for a device that cannot be used, if the program has any.
pub fn hint_for_device_fault(fault: &device::Fault) -> Option<String> {
    match &fault.cause {
        NoDevice::LibtorchWithoutCuda { .. } => {
            Some("FITCH_LIBTORCH=cuda scripts/fitch gets a libtorch that has CUDA".to_string())
        }
        NoDevice::NoCode { .. } => Some(
            "use --device cpu, or set LIBTORCH to a libtorch that was built for GPUs of this kind"
                .to_string(),
        ),
        _ => None,
    }
}

/// The advice for a fault between processes that train together.
pub fn hint_for_group_fault(fault: &distributed::Fault) -> String {
    use distributed::Fault;
    let advice = match fault {
        Fault::PeerLost { .. } => "the message of the process that ended says why",
        Fault::PeerSilent { .. } => "if it only needs longer, --peer-timeout gives it more time",
        Fault::Missing { .. } => {
            "all must be started within --peer-timeout, with the same MASTER_ADDR and MASTER_PORT if those are set"
        }
        Fault::DevicesDiffer { .. } => {
            "`fitch doctor` says on each machine what its GPUs lack; --device cpu trains on CPUs"
        }
        Fault::TooFewGpus { .. } => {
            "start at most as many processes as there are GPUs, by --processes or whatever starts them, each with \
             --device cuda; or train on CPUs with --device cpu"
        }
        Fault::NoNccl { .. } => {
            "it is built along with fitch where CUDA's headers lie beside libtorch: remove .libtorch and build \
             again with FITCH_LIBTORCH=cuda scripts/fitch; or train on CPUs with --device cpu"
        }
        Fault::SameRank { .. } => "each process needs a rank of its own: see `fitch help training`",
        _ => "start all processes with the same command line, on the same data",
    };
    advice.to_string()
}

/// The advice for a network that another program made and that cannot be trained.
pub fn hint_for_script_fault(fault: &ScriptFault) -> Option<String> {
    Some(match fault {
        ScriptFault::ExportedHere => {
            "train the run's network.pt, or its --layers, with --weights and this file".to_string()
        }
        ScriptFault::NoParameters => {
            "script the network with parameters that want gradients: net.requires_grad_(True), and neither \
             torch.jit.freeze nor optimize_for_inference, which turn parameters into constants"
                .to_string()
        }
        ScriptFault::AlwaysInTraining => {
            "it was probably traced in training mode: torch.jit.script keeps both modes, net.eval() before \
             torch.jit.trace only one"
                .to_string()
        }
        ScriptFault::OtherSamples { takes: Some(takes), given } => match (&takes[..], &given[..]) {
            ([channels, ..], [found, ..]) if channels != found => format!(
                "make the network for {found} channels (timm: in_chans={found}), or bring images with {channels}"
            ),
            ([_, height, width], _) => format!("--image-size {height}x{width} scales pictures to that size"),
            _ => return None,
        },
        ScriptFault::OtherClasses { classes, .. } => format!(
            "make the network with num_classes={classes}, as torchvision.models.resnet18(num_classes={classes}) does"
        ),
        ScriptFault::OtherOutput(_) => {
            "script a module whose forward returns the logits alone, such as net(x).logits".to_string()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_libtorch_without_cuda_can_be_replaced() {
        let fault = |cause| hint_for_device_fault(&device::Fault { index: Some(0), cause });
        let hint = fault(NoDevice::LibtorchWithoutCuda { detail: "no such file".to_string() });
        assert!(hint.unwrap().contains("FITCH_LIBTORCH=cuda"));
        assert!(fault(NoDevice::NoCode { capability: None }).unwrap().contains("--device cpu"));
        assert_eq!(fault(NoDevice::NoDriver), None);
    }

    #[test]
    fn processes_without_gpus_for_all_can_train_on_cpus() {
        use distributed::Fault::{DevicesDiffer, NoNccl, TooFewGpus};
        for fault in [
            DevicesDiffer { on_cuda: 1, size: 2 },
            NoNccl { detail: "no such file".to_string() },
            TooFewGpus { processes: 2, gpus: 1 },
        ] {
            assert!(hint_for_group_fault(&fault).contains("--device cpu"), "{fault}");
        }
    }

    #[test]
    fn a_fault_is_found_below_its_context_and_told_with_the_option_that_helps() {
        let fault = Fault::SizesDiffer {
            first: "a.png".into(),
            first_size: [8, 6],
            other: "b.png".into(),
            other_size: [5, 5],
        };
        let error = anyhow::Error::new(fault).context("images").context("cannot load");
        let fault = error.downcast_ref::<Fault>().unwrap();
        assert_eq!(fault.to_string(), "a.png has 6 x 8 pixels, but b.png has 5 x 5");
        assert!(hint_for_data_fault(fault).unwrap().starts_with("--image-size 8x6 "));
        assert_eq!(hint_for_data_fault(&Fault::UnknownValidationClass { class: "owl".into() }), None);
    }
}
