//! Which sampler, for the commands beside `sample` that draw.

use clap::Args;
use sfumato_model::{
    fitted::Placement,
    sampling::{SampleOptions, SamplerChoice, SamplerKind},
};

use super::names::{Samplers, Spacings};
use super::values;

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Sampler")]
pub(crate) struct WalkArgs {
    /// Which sampler; `sfumato sample --help` says more about them
    #[arg(long, value_parser = Samplers, value_name = "NAME")]
    pub(crate) sampler: Option<SamplerKind>,
    /// Steps of the sampler [default: 50 for ddpm and ddim, 20 for the others]
    #[arg(long, value_name = "S", value_parser = values::at_least::<usize>(0))]
    pub(crate) steps: Option<usize>,
    /// How the steps are spread over the schedule's [default: what scheduler_config.json says]
    #[arg(long, value_name = "leading|linspace|trailing|best", value_parser = Spacings)]
    pub(crate) spacing: Option<Placement>,
    /// Noise levels after Karras et al. (2022), for samplers that visit levels [default: what scheduler_config.json says]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) karras: Option<bool>,
    /// Samples drawn at a time
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = values::count::<u32>())]
    pub(crate) batch_size: u32,
}

impl WalkArgs {
    /// What is asked for, with this sampler if none is.
    pub(crate) fn options(&self, num: usize, usual: Option<SamplerKind>) -> SampleOptions<'static> {
        let choice = SamplerChoice { steps: self.steps, karras: self.karras, ..SamplerChoice::new(SamplerKind::Ddpm) };
        let mut options = SampleOptions {
            sampler: self.sampler.or(usual),
            choice,
            batch_size: self.batch_size as usize,
            ..SampleOptions::new(num)
        };
        if let Some(placement) = self.spacing {
            options.place(placement);
        }
        options
    }
}
