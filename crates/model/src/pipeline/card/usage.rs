//! How to draw from it, here and in diffusers.

use super::super::{AnyConfig, PipelineSpec};

impl PipelineSpec {
    /// The command that draws samples from the model in `dir`.
    pub fn sample_here(&self, dir: &str) -> String {
        let dir = shell(dir);
        match &self.config {
            AnyConfig::Own(_) => format!("sfumato info {dir}"),
            AnyConfig::Mlp(_) => format!("sfumato sample --model {dir} --num 2000 --out samples"),
            AnyConfig::UNet(_) if self.classes() > 0 => {
                // Only a class that stands for "any" makes guidance possible.
                let guidance = if self.facts.null_class.is_some() { " --guidance 2" } else { "" };
                format!("sfumato sample --model {dir} --num 16 --class 0{guidance} --out samples")
            }
            AnyConfig::UNet(_) => format!("sfumato sample --model {dir} --num 64 --out samples"),
        }
    }

    /// Python code that draws samples with diffusers from the model in `dir`; none where the network is no class of diffusers.
    pub fn sample_in_diffusers(&self, dir: &str) -> Option<String> {
        let AnyConfig::UNet(unet) = &self.config else { return None };
        if unet.attention_heads.is_some() {
            return None;
        }
        let dir = serde_json::Value::from(dir); // quoted as Python does it
        let steps = self.scheduler.schedule.steps().min(1000);
        let Some(size) = unet.sample_size.filter(|_| self.classes() > 0) else {
            return Some(format!(
                "from diffusers import DDPMPipeline\n\n\
                 pipeline = DDPMPipeline.from_pretrained({dir})\n\
                 images = pipeline(batch_size=4, num_inference_steps={steps}).images\n\
                 images[0].save(\"sample.png\")\n"
            ));
        };
        let ([height, width], channels, classes) = (size.height_width(), unet.in_channels, self.classes());
        let class = &self.scheduler.class_name;
        Some(format!(
            "import torch\n\
             from diffusers import {class}, UNet2DModel\n\n\
             unet = UNet2DModel.from_pretrained({dir}, subfolder=\"unet\").eval()\n\
             scheduler = {class}.from_pretrained({dir}, subfolder=\"scheduler\")\n\
             scheduler.set_timesteps({steps})\n\
             labels = torch.arange(4) % {classes}  # one class for each picture\n\
             x = torch.randn(4, {channels}, {height}, {width}) * scheduler.init_noise_sigma\n\
             with torch.no_grad():\n    \
                 for t in scheduler.timesteps:\n        \
                     noisy = scheduler.scale_model_input(x, t)\n        \
                     x = scheduler.step(unet(noisy, t, class_labels=labels).sample, t, x).prev_sample\n\
             images = (x / 2 + 0.5).clamp(0, 1)\n"
        ))
    }

    /// Number of classes that can be asked for.
    fn classes(&self) -> usize {
        let AnyConfig::UNet(unet) = &self.config else { return 0 };
        unet.num_classes().unwrap_or(0).saturating_sub(usize::from(self.facts.null_class.is_some()))
    }
}

/// A path as one word of a shell.
fn shell(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:@%,\\".contains(c);
    if !path.is_empty() && path.chars().all(plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}
