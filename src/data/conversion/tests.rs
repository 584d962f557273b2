use super::*;
use crate::data::foreign_kind::ENDINGS;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

const NAMELESS: [ForeignKind; 7] = [
    ForeignKind::Tiff,
    ForeignKind::MatlabHdf5,
    ForeignKind::PickledCifar,
    ForeignKind::BinaryCifar,
    ForeignKind::Sqlite,
    ForeignKind::Npz,
    ForeignKind::Parquet,
];

/// Every line, for files of odd names with and without what may lie beside them.
fn lines() -> Vec<String> {
    let mut lines = Vec::new();
    for folder in ["", "it's \"a\" {b} [c] \\ caf\u{301} \n %s"] {
        let kept = tempfile::tempdir().unwrap();
        let folder = kept.path().join(folder);
        fs::create_dir_all(&folder).unwrap();
        for (kind, endings) in ENDINGS {
            lines.push(kind.remedy(&folder.join(format!("a{{0}}'\".{}", endings[0]))));
            lines.extend(kind.is_image().then(|| kind.remedy_of_folder(&folder)));
        }
        let mut line = |kind: ForeignKind, name: &str| lines.push(kind.remedy(&folder.join(name)));
        NAMELESS.iter().for_each(|kind| line(*kind, "a"));
        for (kind, names) in [
            (ForeignKind::Matlab, &["test_32x32.mat", "train_32x32.mat", "emnist-letters.mat"][..]),
            (ForeignKind::Npy, &["x_train.npy", "y_train.npy", "x_test.npy", "y_test.npy"]),
            (ForeignKind::Torch, &["training.pt", "test.pt"]),
            (ForeignKind::PickledCifar, &["data_batch_1", "test_batch", "train", "test"]),
            (ForeignKind::BinaryCifar, &["data_batch_1.bin", "test_batch.bin", "train.bin", "test.bin"]),
            (ForeignKind::GzippedPickle, &["mnist.pkl.gz", "a.pkl.gz"]),
            (ForeignKind::Pickle, &["mnist.pkl", "X.pickle", "y.pickle"]),
            (ForeignKind::TfRecord, &["a.tfrecord-00000-of-00002"]),
            (ForeignKind::Arrow, &["state.json", "data.arrow"]),
            (ForeignKind::OtherArchive, &["a.tar.bz2"]),
        ] {
            names.iter().for_each(|name| line(kind, name));
            names.iter().for_each(|name| fs::write(folder.join(name), "").unwrap());
            names.iter().for_each(|name| line(kind, name));
        }
        for (name, head) in [
            ("a.pkl", &b"\x80\x04\x95........}"[..]),
            ("b.pkl", b"\x80\x02cpandas.core.frame"),
            ("c.pkl", b"\x80\x02cnumpy.core"),
            ("d.pkl", b"\x80\x04]"),
        ] {
            fs::write(folder.join(name), head).unwrap();
            line(ForeignKind::Pickle, name);
            line(ForeignKind::GzippedPickle, name);
        }
    }
    lines
}

#[test]
fn every_line_can_be_pasted_into_a_shell_and_is_python() {
    let lines = lines();
    for line in &lines {
        assert!(!line.contains(['\'', '\n']), "{line}");
        assert!(line.starts_with("this line of Python converts ") || !line.contains("import"), "{line}");
    }
    let code: Vec<&str> =
        lines.iter().filter_map(|line| line.split_once(": ")).map(|(_, code)| code).collect();
    assert!(code.len() > 100);
    let check =
        "import sys\nfor line in sys.stdin.buffer.read().decode().split('\\n'): compile(line, line, 'exec')";
    let python =
        Command::new("python3").args(["-c", check]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut python) = python else {
        eprintln!("there is no python3: the lines are not compiled");
        return;
    };
    python.stdin.take().unwrap().write_all(code.join("\n").as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_lies_beside_a_file_is_converted_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let line = |kind: ForeignKind, name: &str| kind.remedy(&folder.path().join(name));
    let add = |name: &str| fs::write(folder.path().join(name), "").unwrap();
    let svhn = line(ForeignKind::Matlab, "train_32x32.mat");
    assert!(svhn.contains("train_32x32.npz") && svhn.contains("% 10") && !svhn.contains("x_test"), "{svhn}");
    ["train_32x32.mat", "test_32x32.mat"].iter().for_each(|name| add(name));
    for name in ["train_32x32.mat", "test_32x32.mat"] {
        let svhn = line(ForeignKind::Matlab, name);
        assert!(svhn.contains("/svhn.npz\"") && svhn.contains("x_test="), "{svhn}");
    }
    // 10 is a class of its own elsewhere.
    assert!(!line(ForeignKind::Matlab, "a.mat").contains("% 10"));
    ["x_train.npy", "y_train.npy"].iter().for_each(|name| add(name));
    let npy = line(ForeignKind::Npy, "y_train.npy");
    assert!(npy.contains("x_train.npy\"), y_train=") && !npy.contains("x_test"), "{npy}");
    ["x_test.npy", "y_test.npy"].iter().for_each(|name| add(name));
    let npy = line(ForeignKind::Npy, "x_test.npy");
    assert!(npy.contains("/x_train.npy\"), y_train=") && npy.contains("/y_test.npy\"))"), "{npy}");
    ["data_batch_1", "test_batch"].iter().for_each(|name| add(name));
    for name in ["data_batch_1", "test_batch"] {
        let cifar = line(ForeignKind::PickledCifar, name);
        assert!(cifar.ends_with("x_train=x(a), y_train=y(a), x_test=x(b), y_test=y(b))"), "{cifar}");
        assert!(cifar.contains("r(\"data_batch_*\"), r(\"test_batch\")"), "{cifar}");
    }
    let shards = line(ForeignKind::TfRecord, "mnist-train.tfrecord-00000-of-00002");
    assert!(shards.contains("/mnist-train.tfrecord-\") + \"*-of-00002\""), "{shards}");
    assert!(shards.contains("/mnist-train.npz\""), "{shards}");
}

#[test]
fn an_archive_is_never_unpacked_onto_itself() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, name, unpacked) in [
        (ForeignKind::Zip, "cats.zip", "cats"),
        (ForeignKind::Tar, "cats.v2.tar.gz", "cats.v2"),
        (ForeignKind::OtherArchive, "dogs.tar.xz", "dogs"),
        (ForeignKind::Zip, "download", "download-files"),
        (ForeignKind::Zip, "download.zip", "download.zip-files"),
    ] {
        fs::write(folder.path().join(name), "").unwrap();
        let line = kind.remedy(&folder.path().join(name));
        assert!(line.contains(&format!("/{unpacked}\"")), "{line}");
    }
    assert_eq!(ForeignKind::OtherArchive.remedy(Path::new("a.7z")), "unpack it, and name the folder");
}
