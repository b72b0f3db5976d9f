//! The regret tells apart who has learned by heart.

use std::{cell::Cell, ops::ControlFlow};

use sfumato_data::Dataset;
use sfumato_evaluate::{
    Condition,
    regret::{Level, Regret, RegretError, RegretPlan, RegretProgress, RegretSets, Verdict, levels, regret_of},
};
use sfumato_model::{ModelError, NoisedBatch};
use sfumato_schedule::{NoiseSchedule, ScheduleConfig};

use super::points::{Points, direct, normal};

fn schedule() -> NoiseSchedule {
    ScheduleConfig::default().build().unwrap()
}

fn plan(levels: Vec<Level>) -> RegretPlan {
    RegretPlan { levels, examples: 200, seed: 3, condition: Condition::None, mirrored: false, batch_size: 64 }
}

fn go_on(_: RegretProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Somebody who knows `points`, and nothing else.
fn memoriser<'a>(points: &'a Points) -> impl Fn(&NoisedBatch<'_>) -> Result<Vec<f64>, ModelError> + 'a {
    let schedule = schedule();
    move |batch| {
        let dims = points.example_len();
        let rows = batch.x_0.chunks_exact(dims).zip(batch.epsilon.chunks_exact(dims)).zip(batch.steps);
        let losses = rows.map(|((x_0, epsilon), &t)| {
            let known = points.rows().enumerate().filter(|(i, _)| match (batch.classes, points.label(*i)) {
                (Some(classes), Some(label)) => classes[0] == label,
                _ => true,
            });
            direct(known.map(|(_, x)| x), x_0, epsilon, schedule.snr(t))
        });
        Ok(losses.collect())
    }
}

/// Somebody who knows that the data is standard normal: `ε̂ = √(1 - ᾱ) x_t`.
fn statistician(batch: &NoisedBatch<'_>) -> Result<Vec<f64>, ModelError> {
    let schedule = schedule();
    let dims = batch.x_0.len() / batch.steps.len();
    let rows = batch.x_0.chunks_exact(dims).zip(batch.epsilon.chunks_exact(dims)).zip(batch.steps);
    let loss = |((x_0, epsilon), &t): ((&[f32], &[f32]), &usize)| {
        let (signal, noise) = (schedule.alpha_bar(t).sqrt(), schedule.one_minus_alpha_bar(t).sqrt());
        let error =
            |(x, e): (&f32, &f32)| (f64::from(*e) - noise * (signal * f64::from(*x) + noise * f64::from(*e))).powi(2);
        x_0.iter().zip(epsilon).map(error).sum::<f64>() / dims as f64
    };
    Ok(rows.map(loss).collect())
}

fn measured(
    ask: &sfumato_evaluate::regret::NoiseLosses<'_>,
    train: &Points,
    held_out: Option<&Points>,
    plan: &RegretPlan,
) -> Result<Regret, RegretError> {
    let held_out = held_out.map(|data| data as &dyn Dataset);
    regret_of(ask, plan, &RegretSets { train, held_out }, &mut go_on)
}

#[test]
fn who_has_learned_by_heart_has_no_regret_but_a_gap() {
    let (train, test) = (Points::new(&[2], normal(30, 40)), Points::new(&[2], normal(31, 400)));
    let plan = plan(levels(&schedule(), 20));
    let found = measured(&memoriser(&train), &train, Some(&test), &plan).unwrap();
    assert_eq!(found.verdict, Verdict::MostlyByHeart);
    assert_eq!((found.train_examples, found.held_out_examples, found.mixture), (200, 200, 20));
    let held_out = found.mean.held_out.unwrap();
    assert!(found.mean.regret.value.abs() < 1e-4 * found.mean.train.value, "{found:?}");
    assert!((held_out.loss.value / held_out.memoriser.value - 1.0).abs() < 1e-4);
    assert!((held_out.gap.value - held_out.loss.value + found.mean.train.value).abs() < 1e-9);
    for level in &found.levels {
        let figures = &level.figures;
        let held_out = figures.held_out.unwrap();
        assert!((figures.regret.value - figures.train.value + figures.optimum.value).abs() < 1e-12);
        assert!(
            (held_out.gap.value - held_out.loss.value + figures.train.value).abs()
                < 1e-9 * held_out.loss.value.max(1.0)
        );
    }
    let total: f64 = found.levels.iter().map(|level| level.level.share * level.figures.train.value).sum();
    assert!((total - found.mean.train.value).abs() < 1e-12);
}

#[test]
fn who_knows_the_distribution_has_a_regret_and_no_gap() {
    let (train, test) = (Points::new(&[2], normal(32, 400)), Points::new(&[2], normal(33, 2000)));
    let plan = RegretPlan { examples: 1000, ..plan(levels(&schedule(), 20)) };
    let found = measured(&statistician, &train, Some(&test), &plan).unwrap();
    assert_eq!(found.verdict, Verdict::NoSign, "{:?}", found.mean);
    let mean = found.mean;
    assert!(mean.regret.value > 5.0 * mean.regret.standard_error && mean.regret.value > 0.0);
    // Nothing is below the optimum on training examples, and the statistician is best on others.
    let held_out = mean.held_out.unwrap();
    assert!(held_out.memoriser.value > held_out.loss.value);
    let alone = measured(&statistician, &train, None, &plan).unwrap();
    assert_eq!((alone.verdict, alone.mean.train), (Verdict::NothingHeldOut, mean.train));
}

#[test]
fn a_model_that_is_told_classes_is_compared_within_them() {
    let labels = |count: usize| (0..count).map(|i| i % 3).collect::<Vec<_>>();
    let train = Points::new(&[2], normal(34, 60)).labelled(labels(30));
    let test = Points::new(&[2], normal(35, 60)).labelled(labels(30));
    let told = RegretPlan { condition: Condition::Labels, batch_size: 1, ..plan(levels(&schedule(), 5)) };
    let found = measured(&memoriser(&train), &train, Some(&test), &told).unwrap();
    assert!(found.within_classes && found.mean.regret.value.abs() < 1e-4 * found.mean.train.value.max(1e-3));
    // Of 10 points one is told more easily than of 30.
    let untold = measured(&memoriser(&train), &train, Some(&test), &plan(levels(&schedule(), 5))).unwrap();
    assert!(found.mean.optimum.value < untold.mean.optimum.value);

    let unlabelled = Points::new(&[2], normal(35, 60));
    let refused = |train: &Points, test: &Points| measured(&statistician, train, Some(test), &told).unwrap_err();
    assert!(matches!(refused(&train, &unlabelled), RegretError::NoLabels { set: "held-out" }));
    let other = unlabelled.clone().labelled(vec![3; 30]);
    assert!(matches!(refused(&train, &other), RegretError::NoSuchClass { class: 3, .. }));
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let plan = plan(levels(&schedule(), 5));
    let train = Points::new(&[2], normal(36, 60));
    let refused = |train: &Points, test: &Points| measured(&statistician, train, Some(test), &plan).unwrap_err();
    let flat = Points::new(&[1, 1, 2], normal(37, 60));
    assert!(matches!(refused(&train, &flat), RegretError::Shape { .. }));
    let one = Points::new(&[2], normal(38, 2));
    assert!(matches!(refused(&train, &one), RegretError::TooFew { set: "held-out", found: 1 }));
    let mut broken = train.clone();
    broken.values[7] = f32::NAN;
    assert!(matches!(refused(&broken, &train), RegretError::NotANumber { example: 3 }));
    let mad = |batch: &NoisedBatch<'_>| Ok(vec![f64::NAN; batch.steps.len()]);
    let found = measured(&mad, &train, None, &plan).unwrap_err();
    assert!(matches!(found, RegretError::NotFinite { set: "training", t: 1, .. }), "{found}");
}

/// A stop leaves what is done, which is the beginning of the whole.
#[test]
fn a_stop_leaves_a_part() {
    let (train, test) = (Points::new(&[2], normal(39, 600)), Points::new(&[2], normal(40, 600)));
    let plan = plan(levels(&schedule(), 5));
    let sets = RegretSets { train: &train, held_out: Some(&test) };
    let seen = Cell::new(0);
    let mut until = |progress: RegretProgress| {
        seen.set(progress.examples);
        if progress.examples >= 64 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let part = regret_of(&statistician, &plan, &sets, &mut until).unwrap();
    assert_eq!((part.train_examples, part.held_out_examples), (seen.get(), seen.get()));
    let same = RegretPlan { examples: seen.get(), ..plan.clone() };
    assert_eq!(part, regret_of(&statistician, &same, &sets, &mut go_on).unwrap());
    let nothing = regret_of(&statistician, &plan, &sets, &mut |_| ControlFlow::Break(()));
    assert!(matches!(nothing, Err(RegretError::Stopped { done: 0, total: 200 })));
}
