//! The same for a network of convolutions, `--model cnn`: its epoch against the time that its arithmetic takes
//! at the limit of the cores, and against PyTorch at its best.

use crate::table::{Table, median};
use crate::{
    BATCH_SIZE, EPOCHS, Neighbour, Options, Trained, add, computes_in_bfloat16, peer_report, repeat,
};
use anyhow::{Result, ensure};
use fitch::data::Samples;
use fitch::model::presets::preset;
use fitch::train::evaluate;
use multiversion::multiversion;
use std::path::Path;
use std::time::Instant;
use tch::Kind;

/// Products of a forward pass for an image: of the four convolutions and the two dense layers.
const PRODUCTS: [f64; 6] = [
    9.0 * 16.0 * 26.0 * 26.0,
    144.0 * 16.0 * 24.0 * 24.0,
    144.0 * 32.0 * 12.0 * 12.0,
    288.0 * 32.0 * 12.0 * 12.0,
    1152.0 * 128.0,
    128.0 * 10.0,
];

/// Times everything in turn, round after round.
pub fn compare(
    samples: &Samples,
    test: &Samples,
    mnist: &Path,
    threads: usize,
    options: &Options,
    table: &mut Table,
) -> Result<()> {
    // Forward, gradients of weights, gradients of inputs; the last ones not of the first layer.
    let products = 3.0 * PRODUCTS.iter().sum::<f64>() - PRODUCTS[0];
    for round in 1..=options.rounds.max(1) {
        let limit = samples.len() as f64 * products / products_per_second(threads);
        table.add("arithmetic of an epoch at the cores' limit, s", [limit]);
        let mut line = format!("round {round}: limit {limit:.2} s");
        let mut single = f64::NAN;
        let kinds = [("fitch, float32", Kind::Float), ("fitch, bfloat16", Kind::BFloat16)];
        for (name, kind) in kinds.into_iter().take(if computes_in_bfloat16() { 2 } else { 1 }) {
            let trained = training(samples, test, kind, table)?;
            single = if kind == Kind::Float { trained.epoch } else { single };
            line += &format!(", {name} {:.2} s", trained.epoch);
            add(table, name, &trained, limit);
            let Some(python) = &options.peers else { continue };
            let contender = if kind == Kind::Float { "torch-cnn" } else { "torch-cnn-bfloat16" };
            let report = peer_report(python, contender, mnist, threads)?;
            ensure!(report.accuracy > 0.98, "{}: accuracy {}", report.version, report.accuracy);
            let warm = &report.seconds[crate::WARM_UP..];
            let peer = Trained { epoch: median(warm), accuracy: report.accuracy };
            line += &format!(", {contender} {:.2} s", peer.epoch);
            add(table, contender, &peer, limit);
            table.add(&format!("{name} / {contender}"), [trained.epoch / peer.epoch]);
            if let Some(seconds) = report.evaluation {
                table.add(&format!("{contender}, evaluation of 10,000 images, s"), [seconds]);
            }
        }
        if options.busy {
            let neighbour = Neighbour::start()?;
            let busy = training(samples, test, Kind::Float, &mut Table::default())?;
            drop(neighbour);
            table.add("fitch, float32, with a busy neighbour, epoch, s", [busy.epoch]);
            table.add("with a busy neighbour / without", [busy.epoch / single]);
        }
        println!("{line}");
    }
    Ok(())
}

fn training(samples: &Samples, test: &Samples, kind: Kind, table: &mut Table) -> Result<Trained> {
    let layers = preset("cnn").map_or("", |preset| preset.layers);
    let (network, outcome) = crate::train(layers, samples, kind, EPOCHS, usize::MAX)?;
    let seconds: Vec<f64> = outcome.history.epochs.iter().map(|epoch| epoch.seconds).collect();
    let mut accuracy = 0.0;
    let evaluations = repeat(5, || {
        let start = Instant::now();
        accuracy = evaluate(&network, test, BATCH_SIZE)?.accuracy;
        Ok(start.elapsed().as_secs_f64())
    })?;
    table.add("fitch, evaluation of 10,000 images, s", [median(&evaluations)]);
    Ok(Trained { epoch: median(&seconds[crate::WARM_UP..]), accuracy })
}

/// How many products all cores multiply and add in a second when nothing holds them up.
fn products_per_second(threads: usize) -> f64 {
    const ROUNDS: usize = 10_000_000;
    let seconds = || {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| std::hint::black_box(multiply_and_add(ROUNDS, std::hint::black_box(0.5))));
            }
        });
        start.elapsed().as_secs_f64()
    };
    let fastest = (0..5).map(|_| seconds()).fold(f64::INFINITY, f64::min);
    (threads * ROUNDS * LANES) as f64 / fastest
}

/// Enough for twelve registers of AVX2.
const LANES: usize = 96;

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
fn multiply_and_add(rounds: usize, factor: f32) -> [f32; LANES] {
    let mut sums = [1.0; LANES];
    for _ in 0..rounds {
        sums.iter_mut().for_each(|sum| *sum = factor.mul_add(*sum, 0.5));
    }
    sums
}
