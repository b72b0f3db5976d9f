//! `sfumato sample`

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::{ArgGroup, Args, ValueEnum};
use sfumato_data::Background;
use sfumato_model::fitted::Placement;
use sfumato_model::sampling::{DdimConvention, GuidanceInterval, SamplerKind};

use super::{
    Indices, MachineArgs, OneOrMany,
    given::Given,
    names::{Samplers, Spacings},
    ranges::{IndicesParser, SeedsParser, WeightsParser},
    score::VarianceName,
    values,
};

/// Draw samples from a model
///
/// Writes samples.npy (float32, in [-1, 1]), grid.png and one PNG a sample; 2-D data gets samples.npy and scatter.png.
/// Sample n of a seed is the same picture whatever the batch size and the number of threads. Every PNG says how it was made:
/// `sfumato info FILE.png` shows it, and --like FILE.png makes it again.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = SAMPLERS, after_help = EXAMPLES)]
#[command(group = ArgGroup::new(PICTURES).args(["image", "inpaint", "like"]).multiple(true))]
pub(crate) struct SampleArgs {
    /// First, as it has to be.
    #[command(flatten)]
    pub(crate) given: Given,
    /// Model directory: a diffusers pipeline, such as runs/NAME/model [default: with --like, the one that the file names]
    #[arg(long, value_name = "DIR", required_unless_present = "like")]
    pub(crate) model: Option<PathBuf>,
    /// Make the picture in this file again, bit for bit: one sample, or all of a grid. The file says model, seed, sampler and everything else
    #[arg(long, value_name = "FILE.png")]
    pub(crate) like: Option<PathBuf>,
    /// Directory for the results; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Number of samples, or which: 16..32 are those from 16 to 31 [default: 16, or one for each picture]
    #[arg(long, hide_default_value = true, default_value = "16", value_name = "N|A..B", value_parser = IndicesParser)]
    pub(crate) num: Indices,
    /// Which sampler [default: the one that the model's scheduler_config.json names]
    #[arg(long, value_parser = Samplers, value_name = "NAME")]
    pub(crate) sampler: Option<SamplerKind>,
    /// Steps of the sampler, out of the schedule's, usually 1000 [default: 50 for ddpm and ddim, 20 for the others]
    #[arg(long, value_name = "S", value_parser = values::at_least::<usize>(0))]
    pub(crate) steps: Option<usize>,
    /// How the steps are spread over the schedule's; best is where the bound is least, for ddpm and ddim, after `eval --fit` [default: what scheduler_config.json says]
    #[arg(long, value_name = "leading|linspace|trailing|best", value_parser = Spacings)]
    pub(crate) spacing: Option<Placement>,
    /// Variance of ddpm's steps; analytic and optimal after `eval --fit` [default: the model's]
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) variance: Option<VarianceName>,
    /// Noise of ddim: 0 is deterministic, 1 has the variance of ddpm
    #[arg(long, default_value_t = 0.0, value_name = "E", value_parser = values::real("a number from 0 to 1", |eta| (0.0..=1.0).contains(&eta)))]
    pub(crate) eta: f64,
    /// Whose ddim [default: diffusers for a model whose scheduler is a DDIMScheduler, else consistent]
    #[arg(long, value_enum, value_name = "WHOSE")]
    pub(crate) ddim: Option<DdimName>,
    /// Order of dpm-solver++, dpm-solver++-sde and unipc [default: what scheduler_config.json says, else 2]
    #[arg(long, value_name = "1|2|3", value_parser = clap::value_parser!(u8).range(1..=3))]
    pub(crate) order: Option<u8>,
    /// Noise levels after Karras et al. (2022), for all samplers but ddpm and ddim [default: what scheduler_config.json says]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) karras: Option<bool>,
    /// Do not keep predictions of the clean picture in [-1, 1], whatever the model says: the noise of `sfumato encode` then leads back to its picture
    #[arg(long)]
    pub(crate) no_clip: bool,
    /// Size of the images in pixels: a side, or height x width [default: the model's sample_size]
    #[arg(long, value_name = "N|HxW")]
    pub(crate) image_size: Option<ImageSize>,
    /// Class to draw, by its number from 0 or by its name (name:TEXT for a name that is a number), for a class-conditional model; `sfumato info` lists them [default: all classes in turn]
    #[arg(long = "class", value_name = "K|NAME", allow_hyphen_values = true)]
    pub(crate) class_name: Option<String>,
    /// The number of that class.
    #[arg(skip)]
    pub(crate) class: Option<usize>,
    /// Weight of classifier-free guidance: 1 is none, above it samples are pushed more strongly towards their class. Of several, such as 1,2,4, each draws the same noise
    #[arg(long, default_value = "1", value_name = "W,…", value_parser = WeightsParser)]
    pub(crate) guidance: OneOrMany<f64>,
    /// Guidance at these noise levels alone, as k-diffusion counts them (noise over signal); elsewhere one evaluation without it is enough. HI may be inf
    #[arg(long, value_name = "LO,HI")]
    pub(crate) guidance_interval: Option<GuidanceInterval>,
    /// Class that stands for "any", if the model was made elsewhere and does not say it; always the last one [default: what the model says]
    #[arg(long, value_name = "K", value_parser = values::at_least::<usize>(0))]
    pub(crate) null_class: Option<usize>,
    /// Seed of the noise
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = values::seed())]
    pub(crate) seed: u64,
    /// Several seeds, such as 1,2,5..9: the samples of each
    #[arg(long, value_name = "N,…", value_parser = SeedsParser, conflicts_with_all = ["seed", "noise"])]
    pub(crate) seeds: Option<OneOrMany<u64>>,
    /// Samples drawn at a time
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = values::count::<u32>())]
    pub(crate) batch_size: u32,
    /// Noise to use instead of random numbers: float32 [K, N, C, H, W], entry 0 is x_T, then one per stochastic step
    #[arg(long, value_name = "FILE.npy")]
    pub(crate) noise: Option<PathBuf>,
    /// Change pictures: a file, a folder, a zip archive or an array (.npy) of them. Sample n is made from picture n; with more samples they go round
    #[arg(long, value_name = "FILE|DIR", help_heading = "From pictures")]
    pub(crate) image: Option<PathBuf>,
    /// How much they are changed: the share of the steps that is walked, above 0 and up to 1
    #[arg(long, default_value_t = STRENGTH, value_name = "S", requires = "image", conflicts_with = "inpaint", help_heading = "From pictures", value_parser = values::real("a number above 0, up to 1", |strength| strength > 0.0 && strength <= 1.0))]
    pub(crate) strength: f64,
    /// Draw a part of pictures anew, and keep the rest as it is
    #[arg(long, value_name = "FILE|DIR", requires = "mask", conflicts_with = "image", help_heading = "From pictures")]
    pub(crate) inpaint: Option<PathBuf>,
    /// Which part: white is drawn, black is kept; one mask for all pictures, or one for each
    #[arg(long, value_name = "FILE|DIR", requires = "inpaint", help_heading = "From pictures")]
    pub(crate) mask: Option<PathBuf>,
    /// Steps that inpainting goes back each time, so that the new part comes to fit the old one
    #[arg(long, default_value_t = 10, value_name = "N", requires = "inpaint", help_heading = "From pictures", value_parser = values::count::<usize>())]
    pub(crate) jump_length: usize,
    /// How often each stretch of the steps is walked; 1 does not go back
    #[arg(long, default_value_t = 10, value_name = "N", requires = "inpaint", help_heading = "From pictures", value_parser = values::count::<usize>())]
    pub(crate) resample: usize,
    /// What transparent pictures are laid on: white, black, grey or #rrggbb. Of a mask, what is transparent is kept
    #[arg(long, default_value_t = Background::default(), value_name = "COLOUR", requires = PICTURES, help_heading = "From pictures")]
    pub(crate) background: Background,
    /// Also write denoising.gif, the first samples as they emerge
    #[arg(long)]
    pub(crate) gif: bool,
    /// Replace the results of an earlier call in the directory, also those of the same call
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// The options that may bring pictures; named like a type, so that it is not taken for an [option](Given).
const PICTURES: &str = "Pictures";
/// Strength if nothing is said.
const STRENGTH: f64 = 0.5;

impl SampleArgs {
    /// The model's directory. It is there: clap asks for it, or [`like`](Self::like) has given it.
    pub(crate) fn model_dir(&self) -> &Path {
        self.model.as_deref().unwrap_or(Path::new(""))
    }

    /// The seeds of the noise.
    pub(crate) fn all_seeds(&self) -> OneOrMany<u64> {
        self.seeds.clone().unwrap_or(OneOrMany::One(self.seed))
    }
}

/// Height and width of images, as `64` or `64x128` says them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ImageSize(pub(crate) [usize; 2]);

/// Longest side that is drawn: more is a slip of the finger.
const MAX_SIDE: usize = 1 << 14;

impl FromStr for ImageSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |text: &str| text.trim().parse().ok().filter(|side| (1..=MAX_SIDE).contains(side));
        let sides = match text.split_once(['x', 'X', '×']) {
            Some((height, width)) => side(height).zip(side(width)),
            None => side(text).map(|side| (side, side)),
        };
        let expected =
            || format!("expected a side such as 64, or height x width such as 64x128, of 1 to {MAX_SIDE} pixels");
        sides.map(|(height, width)| Self([height, width])).ok_or_else(expected)
    }
}

/// The two kinds of ddim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DdimName {
    /// Each step leads to the next one visited; the noise follows from x_0 as it was clipped
    Consistent,
    /// Each step leads T/S steps down; the noise stays the network's own
    Diffusers,
}

impl From<DdimName> for DdimConvention {
    fn from(name: DdimName) -> Self {
        match name {
            DdimName::Consistent => Self::Consistent,
            DdimName::Diffusers => Self::Diffusers,
        }
    }
}

const EXAMPLES: &str = "Examples:
  sfumato sample --model runs/fashion-mnist-mini/model --num 64 --out samples
  sfumato sample --model runs/fashion-mnist-mini/model --steps 20 --out quick
  sfumato sample --model runs/fashion-mnist-mini/model --seed 1 --gif --out others
  sfumato sample --model runs/classes/model --class 3 --guidance 1,2,4 --num 8 --out coats
  sfumato sample --model runs/fashion-mnist-mini/model --num 64..128 --seeds 1,2,5..9 --out many
  sfumato sample --like samples/sample-00003.png --out again
  sfumato sample --model runs/fashion-mnist-mini/model --image coat.png --strength 0.4 --out changed
  sfumato sample --model runs/fashion-mnist-mini/model --inpaint coat.png --mask left-half.png --out filled

`sfumato sample --help` says more about the samplers.";

const SAMPLERS: &str = "Samplers (S steps out of the T of the training; any of them works with any model):
  ddpm          the chain that was trained, or a shorter one; noise in every step, S evaluations. The
                one to take for small models: its noise lets them mend their mistakes
                  --sampler ddpm --steps 50
                  --sampler ddpm --steps 20
                  --sampler ddpm --steps 20 --spacing best --variance analytic
  ddim          larger steps; --eta says how much of ddpm's noise each adds
                  --sampler ddim --steps 20 --eta 0.5
                  --sampler ddim --steps 50
                  --sampler ddim --ddim diffusers --steps 50 --noise recorded.npy
  dpm-solver++  each step looks at the last 1, 2 or 3 predictions; deterministic, S evaluations
                  --sampler dpm-solver++ --steps 20
                  --sampler dpm-solver++ --order 3 --steps 20 --karras
  dpm-solver++-sde
                the same with fresh noise in every step, S evaluations
                  --sampler dpm-solver++-sde --steps 25 --karras
  unipc         predicts as dpm-solver++ does, and corrects each step with the prediction that the
                next one needs anyway; deterministic, S evaluations
                  --sampler unipc --steps 10
                  --sampler unipc --order 3 --steps 15
  euler         one slope per step; deterministic, S evaluations
                  --sampler euler --steps 30 --karras
  euler-ancestral
                the same with fresh noise in every step: ddpm over noise levels; S evaluations
                  --sampler euler-ancestral --steps 30
  heun          two slopes per step; deterministic, 2S - 1 evaluations
                  --sampler heun --steps 5 --spacing trailing

What is not said on the command line comes from the model's scheduler_config.json: sampler, \
spacing, order, Karras levels, clipping, thresholding and variance. A pipeline whose scheduler is \
diffusers' DDPM-, DDIM-, DPMSolverMultistep-, UniPCMultistep-, EulerDiscrete-, \
EulerAncestralDiscrete- or HeunDiscreteScheduler gives diffusers' samples for the same noise, with \
one exception: the last step of ddpm never adds noise, where diffusers adds some with spacing \
trailing or a steps_offset.

Names of diffusers and k-diffusion do as well: DDIMScheduler, UniPCMultistepScheduler, euler_a, \
dpmpp_2m_sde, uni_pc.

Guidance in an interval (Kynkäänniemi et al. 2024): --guidance 2 --guidance-interval 0.3,3 guides where \
0.3 < noise/signal <= 3, and says which steps these are. There weights may be larger, variety stays, and \
the other steps cost half.

Noise (--noise FILE.npy): entry 0 is x_T; entry k is for the k-th step of ddpm, of ddim with --eta \
above 0, of dpm-solver++-sde and of euler-ancestral. The others use entry 0 alone. The last step adds \
none, so that S steps need S entries; too few are an error before the first step.

Examples:
  sfumato sample --model runs/fashion-mnist-mini/model --num 64 --out samples
  sfumato sample --model runs/fashion-mnist-mini/model --steps 20 --out quick
  sfumato sample --model runs/fashion-mnist-mini/model --seed 1 --gif --out others
  sfumato sample --model runs/classes/model --class 3 --guidance 1,2,4 --num 8 --out coats
  sfumato sample --model runs/fashion-mnist-mini/model --num 64..128 --seeds 1,2,5..9 --out many
  sfumato sample --like samples/sample-00003.png --out again
  sfumato sample --model runs/fashion-mnist-mini/model --image coat.png --strength 0.4 --out changed
  sfumato sample --model runs/fashion-mnist-mini/model --inpaint coat.png --mask left-half.png --out filled";
