//! Identities of discrete distributions and tables of two variables.

use proptest::prelude::*;
use sfumato_schedule::probability::{Discrete, Joint, bayes};

use crate::strategies::{cases, discrete};

fn joint() -> impl Strategy<Value = Joint> {
    discrete(12).prop_map(|table| {
        let rows = table.probabilities().chunks(4).map(<[f64]>::to_vec).collect();
        Joint::new(rows).expect("twelve probabilities that sum to 1")
    })
}

fn close(got: f64, expected: f64) -> bool {
    got == expected || (got - expected).abs() < 1e-12 * (1.0 + expected.abs())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn gibbs_inequality(p in discrete(5), q in discrete(5)) {
        let kl = p.kl(&q)?;
        prop_assert!(kl >= 0.0);
        prop_assert_eq!(kl == 0.0, p == q, "{:e}", kl);
        prop_assert_eq!(p.kl(&p)?, 0.0);
        prop_assert!(close(p.cross_entropy(&q)?, p.entropy() + kl));
        prop_assert!(p.entropy() >= 0.0 && p.entropy() <= 5_f64.ln() + 1e-15);
    }

    #[test]
    fn the_divergence_of_near_equals_is_half_the_squared_distance(p in discrete(4), q in discrete(4), near in 1e-7..1e-5) {
        let p = p.mixture(0.9, &Discrete::uniform(4)?)?;
        let moved = q.mixture(near, &p)?;
        let pairs = p.probabilities().iter().zip(moved.probabilities());
        let half_square: f64 = pairs.map(|(p, q)| (q - p).powi(2) / (2.0 * p)).sum();
        let kl = p.kl(&moved)?;
        prop_assert!((kl - half_square).abs() <= 1e-3 * half_square, "{:e} and {:e}", kl, half_square);
    }

    #[test]
    fn the_divergence_is_jointly_convex(
        p_1 in discrete(4), p_2 in discrete(4), q_1 in discrete(4), q_2 in discrete(4), weight in 0.0..1.0,
    ) {
        let mixed = p_1.mixture(weight, &p_2)?.kl(&q_1.mixture(weight, &q_2)?)?;
        let separate = weight * p_1.kl(&q_1)? + (1.0 - weight) * p_2.kl(&q_2)?;
        prop_assert!(mixed <= separate + 1e-12 * (1.0 + separate.abs()), "{} and {}", mixed, separate);
    }

    #[test]
    fn jensens_gap_has_the_sign_of_the_curvature(p in discrete(4), values in prop::collection::vec(0.1..10.0, 4)) {
        prop_assert!(p.jensen_gap(&values, |x| -x.ln())? >= -1e-14);
        prop_assert!(p.jensen_gap(&values, f64::sqrt)? <= 1e-14);
        prop_assert!(p.jensen_gap(&values, |x| 3.0 * x - 1.0)?.abs() < 1e-13);
        let mean = p.expectation(|i| values[i]);
        let variance = p.expectation(|i| (values[i] - mean).powi(2));
        prop_assert!((p.jensen_gap(&values, |x| x * x)? - variance).abs() < 1e-12);
    }

    #[test]
    fn the_chain_rule_rebuilds_a_table_both_ways(joint in joint()) {
        let (first, second) = (joint.first_marginal(), joint.second_marginal());
        for a in 0..3 {
            for b in 0..4 {
                let probability = joint.probability(a, b);
                let forwards = joint.second_given_first(a).map_or(0.0, |row| first.probability(a) * row.probability(b));
                let backwards = joint.first_given_second(b).map_or(0.0, |row| second.probability(b) * row.probability(a));
                prop_assert!(close(forwards, probability) && close(backwards, probability));
            }
        }
        prop_assert!(joint.mutual_information() >= 0.0);
        prop_assert!(close(joint.mutual_information(), first.entropy() + second.entropy() - joint.entropy()));
    }

    #[test]
    fn bayes_rule_is_the_column_of_the_table(prior in discrete(3), rows in prop::collection::vec(discrete(4), 3), b in 0_usize..4) {
        let joint = Joint::from_chain(&prior, &rows)?;
        let likelihoods: Vec<f64> = rows.iter().map(|row| row.probability(b)).collect();
        match (joint.first_given_second(b), bayes(&prior, &likelihoods)) {
            (Ok(column), Ok(posterior)) => {
                for a in 0..3 {
                    prop_assert!(close(posterior.probability(a), column.probability(a)));
                }
            }
            (column, posterior) => prop_assert_eq!(column, posterior),
        }
    }

    #[test]
    fn independent_variables_have_no_mutual_information(p in discrete(3), q in discrete(4)) {
        let joint = Joint::independent(&p, &q);
        prop_assert!(joint.mutual_information() < 1e-14);
        prop_assert!(close(joint.entropy(), p.entropy() + q.entropy()));
    }

    #[test]
    fn any_weights_at_all_give_a_distribution_or_an_error(weights in prop::collection::vec(any::<f64>(), 0..6)) {
        let magnitudes = weights.iter().map(|weight| weight.abs()).collect();
        let made = [Discrete::from_weights(weights.clone()), Discrete::from_weights(magnitudes), Discrete::new(weights)];
        for made in made.into_iter().flatten() {
            prop_assert!((made.probabilities().iter().sum::<f64>() - 1.0).abs() < 1e-14);
        }
    }
}
