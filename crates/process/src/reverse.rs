//! The reverse chain `p`: Gaussian steps from noise to data, their means from a network.
//!
//! Ho et al. (2020), arXiv:2006.11239, §3.2.

use burn::tensor::{Tensor, backend::Backend};
use sfumato_schedule::{NoiseSchedule, ScheduleError};

use crate::{
    Clipping, Denoiser, LearnedVariance, ModelVariance, Parameterization, ReverseVariance, StepVariance, VarianceError,
    forward::q_posterior,
    gaussian::Gaussian,
    levels::NoiseLevel,
    output::{OutputShapeError, halves, try_halves},
    variance::{Affine, Variance},
};

/// The reverse chain of a trained model: which steps it takes and how a prediction becomes a Gaussian.
///
/// Its steps are counted `1..=S`. `S` is `T` for the chain that the model was trained on and less for a
/// [respaced](Self::respaced) one, whose coefficients are those of the shorter chain with the same `ᾱ` at the steps it
/// keeps (Nichol & Dhariwal 2021, §4).
#[derive(Clone, Debug)]
pub struct Chain {
    schedule: NoiseSchedule,
    /// The schedule of the chain that the model was trained on.
    trained: NoiseSchedule,
    /// The trained chain's step for each of ours: `original[i - 1]`.
    original: Vec<usize>,
    parameterization: Parameterization,
    variance: Variance,
    clipping: Clipping,
}

/// One reverse step's answer where the variance is fixed.
#[derive(Clone, Debug)]
pub struct Reverse<B: Backend, const D: usize> {
    /// The network's idea of the clean data, clipped if the chain clips: `[batch, …]`.
    pub x_0: Tensor<B, D>,
    /// `p(x_{i-1} | x_i)`.
    pub gaussian: Gaussian<B, D>,
}

/// One reverse step's answer, whichever variance the chain has.
#[derive(Clone, Debug)]
pub struct ReverseStep<B: Backend, const D: usize> {
    /// The network's idea of the clean data, clipped if the chain clips: `[batch, …]`.
    pub x_0: Tensor<B, D>,
    /// Mean of `p(x_{i-1} | x_i)`: `[batch, …]`.
    pub mean: Tensor<B, D>,
    /// Its variance.
    pub variance: StepVariance<B, D>,
}

/// A batch's `x_0`, the output that it was read from, and the output's half about the variance.
type Predictions<B, const D: usize> = (Tensor<B, D>, Tensor<B, D>, Option<Tensor<B, D>>);

impl Chain {
    /// The full chain of `schedule`, with the small variance and without clipping.
    pub fn new(schedule: &NoiseSchedule, parameterization: Parameterization) -> Self {
        Self {
            schedule: schedule.clone(),
            trained: schedule.clone(),
            original: (1..=schedule.steps()).collect(),
            parameterization,
            variance: Variance::Fixed(ReverseVariance::default()),
            clipping: Clipping::Off,
        }
    }

    /// The chain that visits only the given `steps` of `schedule`, strictly increasing in `1..=T`.
    ///
    /// # Errors
    /// [`ScheduleError`] if the steps are none, out of range or out of order.
    pub fn respaced(
        schedule: &NoiseSchedule,
        steps: &[usize],
        parameterization: Parameterization,
    ) -> Result<Self, ScheduleError> {
        let respaced = schedule.respace(steps)?.schedule().clone();
        let whole = Self::new(schedule, parameterization);
        Ok(Self { schedule: respaced, original: steps.to_vec(), ..whole })
    }

    /// The same chain with the variance of a model, fixed or learned.
    pub fn with_model_variance(self, variance: ModelVariance) -> Self {
        match (variance.fixed(), variance.learned()) {
            (_, Some(kind)) => self.with_learned(kind),
            (rule, None) => self.with_variance(rule.unwrap_or_default()),
        }
    }

    /// The same chain with this fixed variance, also if the network has learned one.
    pub fn with_variance(self, variance: ReverseVariance) -> Self {
        Self { variance: Variance::Fixed(variance), ..self }
    }

    /// The same chain with a variance for each step: `log_variances[i - 1]` is `log σ_i²` in nats.
    ///
    /// For variances that are computed, not chosen by a rule: the exact reverse variance of known data, or the optimal one of
    /// Bao et al. (2022), arXiv:2201.06503, `σ_t² = β̃_t + (√ᾱ_{t-1} β_t / (1 - ᾱ_t))² E[tr Cov(x_0 | x_t)] / d`
    /// ([`NoisedMixture::optimal_reverse_variance`](crate::oracle::NoisedMixture::optimal_reverse_variance)).
    ///
    /// # Errors
    /// [`VarianceError`] if there is not one finite value for each step.
    pub fn with_log_variances(self, log_variances: Vec<f64>) -> Result<Self, VarianceError> {
        let steps = self.steps();
        if log_variances.len() != steps {
            return Err(VarianceError::Length { steps, found: log_variances.len() });
        }
        if let Some(index) = log_variances.iter().position(|value| !value.is_finite()) {
            return Err(VarianceError::NotFinite { step: index + 1, log_variance: log_variances[index] });
        }
        Ok(Self { variance: Variance::Table(log_variances), ..self })
    }

    /// The same chain with the variance that the network says: `learned_range` of Nichol & Dhariwal (2021), Eq. 15.
    ///
    /// The network's output has twice the channels then. With `v` from the second half,
    /// `log σ² = frac · log β + (1 - frac) · log β̃`, `frac = (v + 1) / 2`.
    pub fn with_learned_range(self) -> Self {
        self.with_learned(LearnedVariance::Range)
    }

    /// The same chain with the variance that the network says, read as `kind`. The network's output has twice the channels then.
    pub fn with_learned(self, kind: LearnedVariance) -> Self {
        Self { variance: Variance::Learned(kind), ..self }
    }

    /// The same chain, clipping predictions of `x_0` to [-1, 1] or not. For images it should: the data is there, and
    /// an `x_0` outside pulls the chain away.
    pub fn with_clip(self, clip: bool) -> Self {
        self.with_clipping(if clip { Clipping::UNIT } else { Clipping::Off })
    }

    /// The same chain with predictions of `x_0` kept in range in another way.
    pub fn with_clipping(self, clipping: Clipping) -> Self {
        Self { clipping, ..self }
    }

    /// Number of steps, `S`.
    pub fn steps(&self) -> usize {
        self.original.len()
    }

    /// The (respaced) schedule that is walked; its steps are `1..=S`.
    pub fn schedule(&self) -> &NoiseSchedule {
        &self.schedule
    }

    /// The schedule of the chain that the model was trained on; its steps are `1..=T`.
    pub fn trained_schedule(&self) -> &NoiseSchedule {
        &self.trained
    }

    /// The trained chain's steps that this chain visits, strictly increasing.
    pub fn original_steps(&self) -> &[usize] {
        &self.original
    }

    /// The trained chain's step `t` for step `i` of this chain.
    ///
    /// # Panics
    /// If `i` is outside `1..=S`.
    pub fn original_step(&self, i: usize) -> usize {
        self.original[i - 1]
    }

    /// `log σ_i²` of `p(x_{i-1} | x_i)`, in nats; none if the network says it.
    ///
    /// # Panics
    /// If `i` is outside `1..=S`.
    pub fn log_variance(&self, i: usize) -> Option<f64> {
        match &self.variance {
            Variance::Fixed(variance) => Some(variance.log_variance(&self.schedule, i)),
            Variance::Table(table) => Some(table[i - 1]),
            Variance::Learned(_) => None,
        }
    }

    /// How the network's output is read.
    pub fn parameterization(&self) -> Parameterization {
        self.parameterization
    }

    /// Whether the variance is the network's: [`p_mean_variance`](Self::p_mean_variance) is not for such a chain.
    pub fn has_learned_range(&self) -> bool {
        self.learned().is_some()
    }

    /// How the network's variance is read, if it is the network's.
    pub fn learned(&self) -> Option<LearnedVariance> {
        match self.variance {
            Variance::Learned(kind) => Some(kind),
            _ => None,
        }
    }

    /// What is done to predictions of `x_0`.
    pub fn clipping(&self) -> Clipping {
        self.clipping
    }

    /// The network's idea of `x_0` at step `i`, clipped if the chain clips, with its raw output (without the half that is
    /// about the variance).
    ///
    /// # Panics
    /// If `i` is outside `1..=S`, or the network's output has neither the shape of `x` nor twice its channels.
    pub fn predict<B: Backend, const D: usize>(
        &self,
        denoiser: &dyn Denoiser<B, D>,
        x: Tensor<B, D>,
        i: usize,
    ) -> (Tensor<B, D>, Tensor<B, D>) {
        let steps = vec![i; x.dims()[0]];
        let (x_0, output, _) = self.fitting(denoiser, x, &steps);
        (self.clipping.apply(x_0), output)
    }

    /// The network's idea of `x_0` between the trained chain's steps, clipped if the chain clips.
    ///
    /// `x_t` has signal `√ᾱ = 1 / √(1 + σ²)` and noise `σ / √(1 + σ²)`, for the level's `σ`: variance is preserved, as the
    /// network saw it in training.
    ///
    /// # Panics
    /// If the network's output has neither the shape of `x_t` nor twice its channels.
    pub fn predict_at<B: Backend, const D: usize>(
        &self,
        denoiser: &dyn Denoiser<B, D>,
        x_t: Tensor<B, D>,
        level: NoiseLevel,
    ) -> Tensor<B, D> {
        let output = denoiser.predict_between(x_t.clone(), &vec![level.t; x_t.dims()[0]]);
        let (output, _) = halves(output, x_t.dims());
        let (signal, noise) = (level.signal(), level.noise());
        self.clipping.apply(match self.parameterization {
            Parameterization::Epsilon => (x_t - output * noise) / signal,
            Parameterization::X0 => output,
            Parameterization::V => x_t * signal - output * noise,
        })
    }

    /// `p(x_{i-1} | x_i)` for a batch at step `i`: the posterior's mean with the predicted `x_0` in its place, and the
    /// chain's fixed variance.
    ///
    /// # Panics
    /// If `i` is outside `1..=S`, or the chain [has a learned variance](Self::has_learned_range): [`p_step`](Self::p_step)
    /// knows both kinds.
    pub fn p_mean_variance<B: Backend, const D: usize>(
        &self,
        denoiser: &dyn Denoiser<B, D>,
        x: Tensor<B, D>,
        i: usize,
    ) -> Reverse<B, D> {
        let log_variance = self.log_variance(i).expect("a chain with a learned variance has none without the network");
        let log_variance = vec![log_variance; x.dims()[0]];
        let ReverseStep { x_0, mean, .. } = self.p_step(denoiser, x, i);
        Reverse { x_0, gaussian: Gaussian { mean, log_variance } }
    }

    /// `p(x_{i-1} | x_i)` for a batch at step `i`, with the chain's fixed variance or the network's.
    ///
    /// # Panics
    /// If `i` is outside `1..=S`, the network's output has neither the shape of `x` nor twice its channels, or the variance is to be
    /// learned and it does not have twice the channels.
    pub fn p_step<B: Backend, const D: usize>(
        &self,
        denoiser: &dyn Denoiser<B, D>,
        x: Tensor<B, D>,
        i: usize,
    ) -> ReverseStep<B, D> {
        let t = vec![i; x.dims()[0]];
        let (x_0, _, range) = self.fitting(denoiser, x.clone(), &t);
        let x_0 = self.clipping.apply(x_0);
        let variance = match self.log_variance(i) {
            Some(log_variance) => StepVariance::Fixed(log_variance),
            None => {
                let range = range.expect("a network with a learned variance has twice the channels");
                let kind = self.learned().expect("a chain without log-variances has learned ones");
                let Affine { slope, offset } = kind.log_variance(&self.schedule, i);
                StepVariance::Learned(kind.in_range(range) * slope + offset)
            }
        };
        let Gaussian { mean, .. } = q_posterior(&self.schedule, x_0.clone(), x, &t);
        ReverseStep { x_0, mean, variance }
    }

    /// `x_0` as it is predicted, not clipped, with a step for each example; the output that it was read from, and the output's
    /// other half.
    ///
    /// # Errors
    /// [`OutputShapeError`] if the output does not fit `x`.
    pub(crate) fn predict_each<B: Backend, const D: usize>(
        &self,
        denoiser: &dyn Denoiser<B, D>,
        x: Tensor<B, D>,
        steps: &[usize],
    ) -> Result<Predictions<B, D>, OutputShapeError> {
        let original: Vec<usize> = steps.iter().map(|&i| self.original_step(i)).collect();
        let output = denoiser.predict(x.clone(), &original);
        let (output, range) = try_halves(output, x.dims())?;
        Ok((self.parameterization.to_x_0(&self.schedule, output.clone(), x, steps), output, range))
    }

    /// As [`predict_each`](Self::predict_each) at a noise level for each example, whose times are the trained chain's.
    ///
    /// # Errors
    /// [`OutputShapeError`] if the output does not fit `x`.
    pub(crate) fn predict_each_between<B: Backend, const D: usize>(
        &self,
        denoiser: &dyn Denoiser<B, D>,
        x: Tensor<B, D>,
        levels: &[NoiseLevel],
    ) -> Result<Predictions<B, D>, OutputShapeError> {
        let times: Vec<f64> = levels.iter().map(|level| level.t).collect();
        let output = denoiser.predict_between(x.clone(), &times);
        let (output, range) = try_halves(output, x.dims())?;
        Ok((self.parameterization.to_x_0_between(output.clone(), x, levels), output, range))
    }

    /// As [`predict_each`](Self::predict_each) of a denoiser whose output fits.
    #[track_caller]
    fn fitting<B: Backend, const D: usize>(
        &self,
        denoiser: &dyn Denoiser<B, D>,
        x: Tensor<B, D>,
        steps: &[usize],
    ) -> Predictions<B, D> {
        self.predict_each(denoiser, x, steps).unwrap_or_else(|error| panic!("{error}"))
    }
}
