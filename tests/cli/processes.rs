//! One training in several processes: the same bytes for any number of them, whatever happens to one.

use crate::place::{Finished, Place, python, wait_until};
use rand::{Rng, SeedableRng};
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What draws random numbers, keeps statistics, and depends on the order of sums.
const NETWORKS: [&[&str]; 3] = [
    &["--layers", "dense 32, relu, dropout 0.3", "--optimizer", "adamw", "--weight-decay", "0.01"],
    &[
        "--layers",
        "conv2d 6 3, batchnorm, relu, maxpool2d 2, dropout 0.2",
        "--augment",
        "digits,photos,mixup,cutmix",
        "--ema",
        "0.9",
        "--accumulate",
        "2",
        "--metrics",
        "f1,auc,top3,brier",
        "--monitor",
        "val_auc",
    ],
    &[
        "--layers",
        "dense 16, batchnorm, tanh",
        "--optimizer",
        "sgd",
        "--momentum",
        "0.9",
        "--clip-norm",
        "0.5",
    ],
];

const QUICK: [&str; 10] =
    ["--shards", "4", "--epochs", "3", "--limit", "300", "--batch-size", "64", "--progress", "none"];

fn same(place: &Place, run: &str, other: &str) {
    let bytes = |run: &str, file: &str| fs::read(place.path(run).join(file)).unwrap();
    assert!(bytes(run, "weights.safetensors") == bytes(other, "weights.safetensors"), "{run}: other weights");
    assert_eq!(place.history(run), place.history(other), "{run}");
}

#[test]
fn the_same_bytes_in_one_process_two_and_four() {
    let place = Place::new();
    for (index, network) in NETWORKS.into_iter().enumerate() {
        for processes in ["1", "2", "4"] {
            let out = format!("{index}-{processes}");
            let arguments = ["--processes", processes, "--out", &out];
            let finished = place.train(&[network, &QUICK, &arguments].concat()).well();
            assert_eq!(finished.stdout.matches("test accuracy").count(), 1, "only one prints: {finished:?}");
            assert_eq!(place.record(&out)["config"]["shards"], 4);
            same(&place, &out, &format!("{index}-1"));
        }
    }
}

#[test]
fn optimizers_and_precisions_are_the_same_in_two_processes() {
    let place = Place::new();
    for optimizer in ["adam", "rmsprop"] {
        for precision in ["float32", "bf16"] {
            let settings = ["--optimizer", optimizer, "--precision", precision, "--layers", "dense 24, gelu"];
            for processes in ["1", "2"] {
                let out = format!("{optimizer}-{precision}-{processes}");
                let arguments = ["--processes", processes, "--out", &out];
                place.train(&[&settings[..], &QUICK, &arguments].concat()).well();
                same(&place, &out, &format!("{optimizer}-{precision}-1"));
            }
        }
    }
}

/// The processes that another one has started.
fn children(of: &Child) -> Vec<u32> {
    let path = format!("/proc/{0}/task/{0}/children", of.id());
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

fn signal(process: u32, name: &str) {
    let _ = Command::new("kill").args([name, &process.to_string()]).stderr(Stdio::null()).status();
}

/// A training that goes on until it is stopped.
const ENDLESS: [&str; 14] = [
    "--layers",
    "dense 8, dropout 0.1",
    "--epochs",
    "1000000",
    "--time-limit",
    "100s",
    "--no-early-stopping",
    "--progress",
    "none",
    "--shards",
    "4",
    "--out",
    "run",
    "--checkpoint-every=20",
];

fn start(place: &Place, arguments: &[&str]) -> Child {
    let mut command = place.command(&[&["train", "--threads", "1"], arguments].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn wait_for_epochs(place: &Place, epochs: usize) {
    wait_until("epochs", || {
        let history = fs::read_to_string(place.path("run/history.csv")).unwrap_or_default();
        history.lines().count() > epochs
    });
}

/// Waits for the end, for so many seconds.
fn ended_within(mut child: Child, seconds: u64) -> Finished {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(seconds), "it goes on after {seconds} s");
        sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap().into()
}

#[test]
fn a_signal_at_any_process_stops_all_with_everything_saved() {
    for (rank, name) in [(0, "-TERM"), (1, "-INT"), (1, "-USR1")] {
        let place = Place::new();
        let child = start(&place, &[&ENDLESS[..], &["--processes", "2"]].concat());
        wait_for_epochs(&place, 2);
        signal(children(&child)[rank], name);
        let ended = ended_within(child, 20);
        assert_eq!(ended.code, Some(130), "{ended:?}");
        assert!(ended.stderr.contains("fitch train --resume run continues from here"), "{ended:?}");
        assert_eq!(place.record("run")["stop_reason"], "interrupted");
        assert!(place.path("run/weights.safetensors").exists());
    }
    let place = Place::new();
    let child = start(&place, &[&ENDLESS[..], &["--processes", "2"]].concat());
    wait_for_epochs(&place, 2);
    signal(child.id(), "-TERM");
    assert_eq!(ended_within(child, 20).code, Some(130), "passed on by the process that started them");
}

#[test]
fn a_process_that_dies_ends_the_others_and_the_last_checkpoint_is_whole() {
    for rank in [0, 1] {
        let place = Place::new();
        let child = start(&place, &[&ENDLESS[..], &["--processes", "2"]].concat());
        wait_for_epochs(&place, 5);
        signal(children(&child)[rank], "-KILL");
        let told = format!("the process of rank {rank} was killed");
        let other = format!("rank {}: ", 1 - rank);
        ended_within(child, 20).with_fault(1, &[&told, &other, "another process of this training has ended"]);
        let resumed = place.train(&["--resume", "run", "--processes", "2", "--epochs", "6"]);
        assert!(matches!(resumed.code, Some(0 | 1)), "{resumed:?}");
        assert!(!resumed.stderr.contains("is broken"), "{resumed:?}");
    }
}

#[test]
fn a_process_that_hangs_is_given_up() {
    let place = Place::new();
    let arguments = ["--processes", "2", "--peer-timeout", "2s"];
    let child = start(&place, &[&ENDLESS[..], &arguments].concat());
    wait_for_epochs(&place, 2);
    let hanging = children(&child)[1];
    signal(hanging, "-STOP");
    ended_within(child, 40).with_fault(
        1,
        &["rank 0: training ended: another process", "did not answer for 2s", "--peer-timeout"],
    );
}

/// Kills random ranks at random moments, and goes on in another number of processes each time.
#[test]
fn runs_whose_processes_are_killed_go_on_in_other_numbers_to_the_same_bytes() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a whole number"))
    };
    let wanted = number("FITCH_TORTURE_KILLS", 25).div_ceil(4);
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(number("FITCH_TORTURE_SEED", 1));
    let settings =
        [NETWORKS[1], &QUICK, &["--epochs", "20", "--no-early-stopping", "--checkpoint-every", "3"]].concat();
    let place = Place::new();
    place.train(&[&settings[..], &["--out", "undisturbed"]].concat()).well();
    let (mut runs, mut kills) = (0, 0);
    while kills < wanted {
        let run = format!("run{runs}");
        loop {
            let processes = [1, 2, 4][random.gen_range(0..3)];
            let arguments = ["--resume-if-any", "--out", &run, "--processes", &processes.to_string()];
            let mut child = start(&place, &[&settings[..], &arguments].concat());
            let patience = Duration::from_millis(random.gen_range(300..1_500));
            let began = Instant::now();
            while began.elapsed() < patience && child.try_wait().unwrap().is_none() {
                sleep(Duration::from_millis(1));
            }
            let ranks = children(&child);
            match ranks.len() {
                0 => child.kill().unwrap(),
                count => signal(ranks[random.gen_range(0..count)], "-KILL"),
            }
            let ended = ended_within(child, 30);
            if ended.code == Some(0) {
                break;
            }
            kills += 1;
        }
        same(&place, &run, "undisturbed");
        runs += 1;
    }
}

#[test]
fn the_same_command_line_starts_a_run_and_goes_on_with_it() {
    let place = Place::new();
    let again = |arguments: &[&str]| place.train_quickly("run", &[&["--resume-if-any"], arguments].concat());
    again(&["--time-limit", "1ms"]).well();
    let elsewhere = format!("{}/", place.path("run").display());
    again(&["--time-limit", "1h", "--out", &elsewhere, "--epochs", "2"]).well();
    fs::remove_dir_all(place.path("run")).unwrap();
    again(&["--time-limit", "1ms"]).well();
    assert_eq!(place.record("run")["stop_reason"], "time_limit");
    assert!(again(&["--time-limit", "1h"]).well().stderr.contains("resuming run"));
    assert_eq!(place.record("run")["stop_reason"], "completed");
    let finished = again(&[]).well();
    assert!(
        finished.stderr.contains("nothing is left to do: run has run all of its 3 epochs"),
        "{finished:?}"
    );
    place.train(&["--resume-if-any"]).with_fault(2, &["--resume-if-any: needs", "--out"]);
}

/// Starts a process for each list of arguments, as `mpirun` would.
fn as_mpirun_starts(place: &Place, all: &[&[&str]], port: u16) -> Vec<Finished> {
    let start = |(rank, arguments): (usize, &&[&str])| {
        let mut command = place.command(&[&["train", "--threads", "1"], *arguments].concat());
        command
            .env("OMPI_COMM_WORLD_RANK", rank.to_string())
            .env("OMPI_COMM_WORLD_SIZE", all.len().to_string());
        command.env("OMPI_COMM_WORLD_LOCAL_SIZE", all.len().to_string()).env("MASTER_PORT", port.to_string());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<Child> = all.iter().enumerate().map(start).collect();
    children.into_iter().map(|child| ended_within(child, 60)).collect()
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn processes_that_were_started_differently_are_refused_with_what_differs() {
    let place = Place::new();
    place.write_idx_set("other");
    let plain = ["--out", "run", "--progress", "none", "--epochs", "2"];
    let cases: [(&[&str], &str); 3] = [
        (&["--batch-size", "64"], "batch_size = 64, where the first process has batch_size = 128"),
        (&["--epochs", "3"], "epochs = 3, where the first process has epochs = 2"),
        (&["--dataset", "other"], "fingerprint of the images = "),
    ];
    for (other, told) in cases {
        let other = [&plain, other].concat();
        let [first, second]: [Finished; 2] =
            as_mpirun_starts(&place, &[&plain, &other], free_port()).try_into().unwrap();
        first.with_fault(1, &["rank 0: the process of rank 1 differs", told, "the same command line"]);
        assert_eq!((second.code, second.stderr.as_str()), (Some(1), ""), "told once");
        assert!(!place.path("run").exists());
    }
}

#[test]
fn a_rank_that_does_not_come_is_missed() {
    let place = Place::new();
    let mut command = place.command(&["train", "--peer-timeout", "1s", "--out", "run"]);
    command.env("PMI_RANK", "0").env("PMI_SIZE", "3").env("MASTER_ADDR", "127.0.0.1");
    let finished: Finished = command.env("MASTER_PORT", free_port().to_string()).output().unwrap().into();
    finished.with_fault(1, &["of 3 processes, ranks 1, 2 are missing after 1s", "MASTER_ADDR"]);
    assert!(!place.path("run").exists());
}

#[test]
fn no_process_is_started_for_gpus_that_are_not_there() {
    let place = Place::new();
    let mut command = place.command(&["train", "--device", "cuda", "--processes", "2", "--out", "run"]);
    let finished: Finished = command.env("CUDA_VISIBLE_DEVICES", "").output().unwrap().into();
    let finished = finished.with_fault(1, &["error: cannot use cuda: "]);
    assert!(!finished.stderr.contains("rank"), "{finished:?}");
}

#[test]
fn processes_that_were_told_different_numbers_say_so() {
    let place = Place::new();
    let port = free_port().to_string();
    let start = |rank: &str, size: &str| {
        let mut command = place.command(&["train", "--out", "run"]);
        command.env("RANK", rank).env("WORLD_SIZE", size).env("MASTER_ADDR", "127.0.0.1");
        command.env("MASTER_PORT", &port).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start("0", "2"), start("1", "3")];
    let [first, _]: [Finished; 2] = both.map(|child| child.wait_with_output().unwrap().into());
    first.with_fault(1, &["rank 0: another process was told that there are not 2 processes"]);
}

#[test]
fn a_first_process_that_is_not_there_is_named_without_noise() {
    let place = Place::new();
    for host in ["127.0.0.1", "no.such.host.invalid"] {
        let mut command = place.command(&["train", "--peer-timeout", "1s", "--out", "run"]);
        command.env("RANK", "1").env("WORLD_SIZE", "2").env("MASTER_ADDR", host);
        let finished: Finished = command.env("MASTER_PORT", free_port().to_string()).output().unwrap().into();
        let told = format!("rank 1: rank 0 does not answer at {host}:");
        let finished = finished.with_fault(1, &[&told, "after 1s"]);
        assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
    }
}

#[test]
fn wrong_numbers_of_processes_are_usage_errors() {
    let place = Place::new();
    place.train(&["--processes", "0"]).with_fault(2, &["--processes 0", "1 to 1024"]);
    place.train(&["--processes", "2", "--shards", "3"]).with_fault(2, &["cannot share 3 shards", "1, 3"]);
    place.train(&["--shards", "200"]).with_fault(2, &["--batch-size 128: cannot be cut into 200 shards"]);
    place.train(&["--peer-timeout", "0s"]).with_fault(2, &["--peer-timeout 0s"]);
    place.train_quickly("run", &["--processes", "2"]).well();
    place
        .train(&["--resume", "run", "--epochs", "4", "--processes", "4"])
        .with_fault(2, &["2 shards", "1, 2"]);
    place.train(&["--resume", "run", "--epochs", "4", "--processes", "1"]).well();
}

#[test]
fn slurm_starts_processes() {
    let place = Place::new();
    let quick = [NETWORKS[0], &QUICK].concat();
    place.train(&[&quick[..], &["--out", "alone"]].concat()).well();
    let job = std::process::id().to_string();
    let start = |rank: &str| {
        let mut command = place.command(&[&["train", "--threads", "1", "--out", "run"], &quick[..]].concat());
        command.env("SLURM_PROCID", rank).env("SLURM_NTASKS", "2").env("SLURM_LOCALID", rank);
        command.env("SLURM_JOB_ID", &job).env("SLURM_NODELIST", "localhost").env("SLURM_JOB_NAME", "train");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for child in ["0", "1"].map(start) {
        ended_within(child, 60).well();
    }
    same(&place, "run", "alone");
}

#[test]
fn torchrun_starts_processes_and_starts_them_again() {
    let Some(mut torchrun) = python("torchrun_starts_processes_and_starts_them_again") else { return };
    let place = Place::new();
    let settings = [NETWORKS[0], &QUICK, &["--epochs", "60", "--no-early-stopping"]].concat();
    place.train(&[&settings[..], &["--out", "alone"]].concat()).well();
    torchrun.args(["-m", "torch.distributed.run", "--nproc-per-node", "2", "--max-restarts", "3"]);
    torchrun.args([
        "--master-port",
        &free_port().to_string(),
        "--no-python",
        env!("CARGO_BIN_EXE_fitch"),
        "train",
    ]);
    torchrun.args(["--threads", "1", "--resume-if-any", "--out", "run"]).args(&settings);
    torchrun.env("GOMP_SPINCOUNT", "2000").env("HOME", place.path("")).current_dir(place.path(""));
    let child = torchrun.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_epochs(&place, 5);
    signal(children(&child)[1], "-KILL");
    let ended = ended_within(child, 120).well();
    assert!(ended.stderr.contains("resuming run"), "{ended:?}");
    same(&place, "run", "alone");
}
