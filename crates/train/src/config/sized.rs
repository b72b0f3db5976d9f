//! The default for pictures of one's own: a network and a run that suit their size and number.
//!
//! Levels, attention and channels follow Ho et al. (2020), Appendix B, in small: the image is halved down to 8 pixels or a little
//! less, attention acts at 16×16 and in the middle, and the first level has few channels where it has many pixels, since it costs
//! most. Sizes are chosen for what two CPU cores do in minutes.

use sfumato_data::Dataset;

use super::{LearningRateDecay, ModelConfig, Preset, TrainConfig, UNetSpec};
use crate::TrainError;

/// Minutes of training where neither a number of steps nor a time is given.
pub const DEFAULT_MINUTES: f64 = 10.0;
/// Largest side of a level with attention, as in DDPM: its cost grows with the fourth power of the side.
const ATTENTION: usize = 16;
/// The image is halved as long as its shorter side is longer than this.
const SMALLEST: usize = 8;
/// Most levels, those of DDPM for 256×256.
const MOST_LEVELS: usize = 6;
/// Epochs after which a model of this size has little left to learn from the same pictures.
const EPOCHS: u64 = 1000;
/// Steps that a model needs even of few pictures.
const FEWEST_STEPS: u64 = 2000;
/// Steps of warm-up, or a tenth of the run.
const WARMUP: u64 = 200;

/// What the user has said about the length of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Length {
    /// Steps.
    pub steps: Option<u64>,
    /// Minutes; 0 is no limit.
    pub minutes: Option<f64>,
}

impl TrainConfig {
    /// The default for `data`, with `overrides` (a path of keys and a value) over it.
    ///
    /// Images get a U-Net by their size, a batch and intervals by what a step costs, and as many steps as 1000 epochs have
    /// (2000 at least), or those of `length`. Without a length the run ends after 10 minutes. The learning rate is constant,
    /// since the time decides where the run ends, and the moving average of the weights does what a decay would do. Points
    /// get the preset for the swiss roll.
    ///
    /// # Errors
    /// As [`TrainConfig::layered`].
    pub fn sized(
        data: &dyn Dataset,
        length: Length,
        overrides: &[(Vec<String>, toml::Value)],
    ) -> Result<Self, TrainError> {
        Self::sized_under(toml::Table::new(), data, length, overrides)
    }

    /// The same with the tables of `source` over the default and under `overrides`, such as [those of a model](crate::Source::settings).
    ///
    /// # Errors
    /// As [`TrainConfig::layered`].
    pub fn sized_under(
        source: toml::Table,
        data: &dyn Dataset,
        length: Length,
        overrides: &[(Vec<String>, toml::Value)],
    ) -> Result<Self, TrainError> {
        let &[_, height, width] = data.shape() else {
            return Self::preset_under("swiss-roll", source, overrides);
        };
        let base = for_images([height, width], data.len(), length);
        let mut table = super::parse(&base.to_toml(), "default")?;
        table.extend(source);
        Self::over(table, "default for these pictures", overrides)
    }
}

impl TrainConfig {
    /// The preset `name` with the tables of `source` over it and under `overrides`.
    ///
    /// # Errors
    /// As [`TrainConfig::layered`].
    pub fn preset_under(
        name: &str,
        source: toml::Table,
        overrides: &[(Vec<String>, toml::Value)],
    ) -> Result<Self, TrainError> {
        let origin = format!("preset {name}");
        let mut table = super::parse(Preset::find(name)?.toml, &origin)?;
        table.extend(source);
        Self::over(table, &origin, overrides)
    }
}

/// The default for `count` images of `size` (height, width).
fn for_images(size: [usize; 2], count: usize, length: Length) -> TrainConfig {
    let [height, width] = size;
    let levels = levels(size);
    let side = height.max(width);
    // Measured on two cores (docs/guides/train.md): a step takes a second at most, but for the largest.
    let (first, batch_size, every, grid) = match side {
        0..=32 => (32, 64, 500, 64),
        33..=64 => (32, 32, 500, 36),
        65..=128 => (16, 16, 500, 16),
        _ => (16, 8, 500, 9),
    };
    let channels: Vec<usize> = (0..levels).map(|level| channels(first, level)).collect();
    let attends = |level: usize| (side >> level) <= ATTENTION && (level + 1 < levels || levels == 1);
    let mut config = TrainConfig {
        model: ModelConfig::Unet(UNetSpec {
            channels,
            attention: (0..levels).map(attends).collect(),
            ..UNetSpec::default()
        }),
        ..TrainConfig::default()
    };
    // No more than the pictures that there are, so that few of them are not repeated within a step.
    config.training.batch_size = batch_size.min(count.next_power_of_two().max(8));
    let epochs = (EPOCHS * count as u64).div_ceil(config.training.batch_size as u64);
    config.training.steps = length.steps.unwrap_or(epochs.max(FEWEST_STEPS));
    config.training.max_minutes = match length {
        Length { minutes: Some(minutes), .. } => minutes,
        Length { steps: Some(_), minutes: None } => 0.0,
        Length { steps: None, minutes: None } => DEFAULT_MINUTES,
    };
    config.training.checkpoint_every = every;
    config.samples.every = every;
    config.samples.num = grid;
    config.optimizer.learning_rate = 5e-4;
    config.optimizer.decay = LearningRateDecay::Constant;
    config.optimizer.warmup_steps = WARMUP.min(config.training.steps / 10);
    // Its early values are lower by themselves; see `learning_rate::ema_decay`.
    config.optimizer.ema_decay = 0.999;
    config
}

/// Levels of a network for images of `size`: halved while both sides are even and the shorter is above [`SMALLEST`] pixels.
fn levels([height, width]: [usize; 2]) -> usize {
    let even = height.trailing_zeros().min(width.trailing_zeros()) as usize;
    let shorter = height.min(width);
    let wanted = (0..).find(|halvings| shorter >> halvings <= SMALLEST).unwrap_or(0);
    1 + wanted.min(even).min(MOST_LEVELS - 1)
}

/// Channels of a level: each of the first doubles them, as far as 64, and a fourth has 128.
fn channels(first: usize, level: usize) -> usize {
    match level {
        0 => first,
        1 | 2 => (first << level).min(64),
        _ => 128.min(first << (level - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(size: [usize; 2]) -> (Vec<usize>, Vec<bool>) {
        let config = for_images(size, 1000, Length::default());
        config.validate().unwrap();
        let ModelConfig::Unet(spec) = config.model else { panic!("a U-Net") };
        (spec.channels, spec.attention)
    }

    #[test]
    fn images_are_halved_down_to_8_pixels_and_attended_to_at_16() {
        let (f, t) = (false, true);
        assert_eq!(network([8, 8]), (vec![32], vec![t]));
        assert_eq!(network([16, 16]), (vec![32, 64], vec![t, f]));
        assert_eq!(network([28, 28]), (vec![32, 64, 64], vec![f, t, f]));
        assert_eq!(network([32, 32]), (vec![32, 64, 64], vec![f, t, f]));
        assert_eq!(network([64, 64]), (vec![32, 64, 64, 128], vec![f, f, t, f]));
        assert_eq!(network([128, 128]), (vec![16, 32, 64, 64, 128], vec![f, f, f, t, f]));
        assert_eq!(network([32, 64]).1, [f, f, f]);
        assert_eq!(network([64, 32]).0, network([32, 64]).0);
    }

    #[test]
    fn every_size_has_a_network_that_it_divides() {
        for height in 1..=260 {
            for width in [height, height + 1, 2 * height, 64, 97] {
                let config = for_images([height, width], 50, Length::default());
                config.validate().unwrap();
                let ModelConfig::Unet(spec) = config.model else { panic!("a U-Net") };
                let divisor = 1 << (spec.channels.len() - 1);
                assert!(height % divisor == 0 && width % divisor == 0, "{height}x{width}: {:?}", spec.channels);
            }
        }
    }

    #[test]
    fn the_length_is_that_of_the_user_or_of_the_data_within_ten_minutes() {
        let training = |count, length| for_images([32, 32], count, length).training;
        let few = training(8, Length::default());
        assert_eq!((few.batch_size, few.steps, few.max_minutes), (8, FEWEST_STEPS, DEFAULT_MINUTES));
        let many = training(6400, Length::default());
        assert_eq!((many.batch_size, many.steps), (64, 100_000));
        let steps = training(6400, Length { steps: Some(50), minutes: None });
        assert_eq!((steps.steps, steps.max_minutes), (50, 0.0));
        let minutes = training(6400, Length { steps: None, minutes: Some(3.0) });
        assert_eq!((minutes.steps, minutes.max_minutes), (100_000, 3.0));
        assert_eq!(for_images([32, 32], 8, Length { steps: Some(50), minutes: None }).optimizer.warmup_steps, 5);
    }
}
