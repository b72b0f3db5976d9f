//! What a client asks for, checked against the model before it waits in the queue.

use serde_json::{Map, Value, json};
use sfumato_model::{
    ModelError,
    fitted::Placement,
    pipeline::{AnyConfig, Labels, Pipeline},
    sampling::{Classes, GuidanceInterval, LateStart, Noise, SampleOptions, SamplePlan, SamplerChoice, SamplerKind},
};
use sfumato_process::sampler::SolverOrder;
use sfumato_train::config::least_to_predict;

use super::{
    fields::{Fields, wrong},
    limits::{PICTURES, SIDE, TIMES_LARGER, VALUES},
    served::Served,
};
use crate::{
    args::OneOrMany,
    provenance::{self, ClassSetting},
};

/// What a client has said, and the defaults that do not depend on the model.
#[derive(Clone, Copy, Debug)]
struct Asked {
    num: usize,
    seed: u64,
    class: Option<usize>,
    guidance: f64,
    guidance_interval: Option<GuidanceInterval>,
    sampler: Option<SamplerKind>,
    choice: SamplerChoice,
    placement: Option<Placement>,
    image_size: Option<[usize; 2]>,
}

/// What is to be drawn, and how.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    asked: Asked,
    /// Steps of the sampler.
    pub(super) steps: usize,
    /// Shape of a picture: channels, height, width.
    pub(super) shape: [usize; 3],
    /// All of it in words of the API, with what was left open as the model fills it in.
    pub(super) described: Value,
    /// All of it as pictures have it in their texts.
    record: provenance::Settings,
    /// What is probably not meant.
    pub(super) notes: Vec<String>,
}

impl Settings {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// What is wrong with it, for the client.
    pub(super) fn read(body: &[u8], served: &Served) -> Result<Self, String> {
        let model = &served.model;
        let asked = asked(body, model)?;
        let options = asked.options();
        let plan = options.plan(model).map_err(|error| in_json(&error))?;
        let shape: [usize; 3] =
            plan.shape.as_slice().try_into().map_err(|_| "the model draws no pictures".to_owned())?;
        check_size(asked.num, shape, served)?;
        let choice = options.choice(model);
        let record = asked.for_record(served).settings(model, &served.sums, &choice, &plan);
        Ok(Self {
            record: record.map_err(|error| format!("{error:#}"))?,
            steps: plan.sampler.steps(),
            shape,
            described: described(&asked, &choice, &plan, model),
            notes: notes(&choice, &plan, model),
            asked,
        })
    }

    /// The settings of one picture among those of its job, of which each has a class if all are drawn in turn.
    pub(super) fn of_picture(&self, index: usize, model: &Pipeline) -> provenance::Settings {
        let mut own = self.record.clone();
        if let (Some(ClassSetting::Turns(_)), Ok(Labels::Below(classes))) = (&own.class, model.labels()) {
            own.class = Some(ClassSetting::One(index % classes.max(1)));
        }
        own
    }

    /// Pictures.
    pub(super) fn num(&self) -> usize {
        self.asked.num
    }

    /// Every step of the drawing.
    ///
    /// # Errors
    /// None that [`read`](Self::read) has not found, unless the files of the model change.
    pub(super) fn plan(&self, model: &Pipeline) -> Result<SamplePlan<'static>, ModelError> {
        self.asked.options().plan(model)
    }
}

impl Asked {
    /// The batch is the whole job, so that all pictures emerge together; they do not depend on it.
    fn options(&self) -> SampleOptions<'static> {
        let mut options = SampleOptions {
            sampler: self.sampler,
            choice: self.choice,
            noise: Noise::Seeded(self.seed),
            class: self.class,
            guidance: self.guidance,
            guidance_interval: self.guidance_interval,
            image_size: self.image_size,
            batch_size: self.num,
            ..SampleOptions::new(self.num)
        };
        if let Some(placement) = self.placement {
            options.place(placement);
        }
        options
    }

    /// What a picture says was asked for.
    fn for_record(&self, served: &Served) -> provenance::Asked<'static> {
        provenance::Asked {
            placement: self.placement,
            variance: None,
            image_size: self.image_size,
            guidance: OneOrMany::One(self.guidance),
            guidance_interval: self.guidance_interval,
            null_class: served.null_class,
            seed: Some(OneOrMany::One(self.seed)),
            clip: true,
            precision: served.precision,
            noise: None,
        }
    }
}

fn asked(body: &[u8], model: &Pipeline) -> Result<Asked, String> {
    let mut fields = Fields::parse(body)?;
    let num = fields.whole("num", 1..=PICTURES)?.unwrap_or(1) as usize;
    let seed = fields.whole("seed", 0..=u64::MAX)?.unwrap_or(0);
    let class = fields.any("class").map(|value| class(&value, model)).transpose()?;
    let guidance = fields.real("guidance", "0 or a number above it", |weight| weight >= 0.0)?.unwrap_or(1.0);
    let guidance_interval = fields.any("guidance_interval").map(|value| interval(&value)).transpose()?;
    let names: Vec<&str> = SamplerKind::all().map(|info| info.name).collect();
    let sampler = fields.name("sampler", &names)?;
    let sampler = SamplerKind::all().find(|info| Some(info.name) == sampler).map(|info| info.kind);
    let total = model.spec.scheduler.noise_schedule().map_err(|error| error.to_string())?.steps() as u64;
    let steps = fields.whole("steps", 1..=total)?.map(|steps| steps as usize);
    let placement = fields.name("spacing", &spacings(model))?.and_then(|name| name.parse().ok());
    let eta = fields.real("eta", "a number from 0 to 1", |eta| (0.0..=1.0).contains(&eta))?.unwrap_or(0.0);
    let order = fields.whole("order", 1..=3)?;
    let order = order.map(|order| SolverOrder::try_from(order as u8)).transpose().map_err(|error| error.to_string())?;
    let karras = fields.truth("karras")?;
    let image_size = fields.any("image_size").map(|value| image_size(&value, most_side(model))).transpose()?;
    fields.end()?;
    if class.is_none() && matches!(model.labels(), Ok(Labels::Any)) {
        return Err("class is needed: the model takes any number as a class".to_owned());
    }
    let choice = SamplerChoice { steps, eta, order, karras, ..SamplerChoice::new(SamplerKind::Ddpm) };
    Ok(Asked { num, seed, class, guidance, guidance_interval, sampler, choice, placement, image_size })
}

/// Longest side of pictures that may be asked for.
pub(super) fn most_side(model: &Pipeline) -> u64 {
    let own = model.spec.config.example_shape().and_then(|shape| shape[1..].iter().max().copied());
    own.map_or(SIDE, |side| (side as u64 * TIMES_LARGER).min(SIDE).max(side as u64))
}

/// A class by its number or by its name.
fn class(value: &Value, model: &Pipeline) -> Result<usize, String> {
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
    let found = number.or_else(|| model.class_by_name(value.as_str()?));
    found.ok_or_else(|| match crate::class::list(&model.spec.facts.class_names) {
        Some(list) => wrong("class", &format!("a number from 0 on or one of {list}"), value),
        None => wrong("class", "a number from 0 on", value),
    })
}

/// The placements of steps that the model can have: the best ones are known where a fit lies beside its weights.
pub(super) fn spacings(model: &Pipeline) -> Vec<&'static str> {
    let fitted = model.fit_path().is_file();
    Placement::NAMES.into_iter().filter(|name| fitted || *name != Placement::Best.name()).collect()
}

/// Two noise levels, of which the second may be null for infinity.
fn interval(value: &Value) -> Result<GuidanceInterval, String> {
    let bounds = match value.as_array().map(Vec::as_slice) {
        Some([low, Value::Null]) => low.as_f64().zip(Some(f64::INFINITY)),
        Some([low, high]) => low.as_f64().zip(high.as_f64()),
        _ => None,
    };
    let interval = bounds.map(|(low, high)| GuidanceInterval { low, high });
    interval.filter(|interval| interval.is_valid()).ok_or_else(|| {
        let expected =
            "two noise levels [low, high] with 0 <= low <= high, such as [0.3, 3]; high may be null, for no end";
        wrong("guidance_interval", expected, value)
    })
}

/// A side, or height and width.
fn image_size(value: &Value, most: u64) -> Result<[usize; 2], String> {
    let side = |value: &Value| value.as_u64().filter(|side| (1..=most).contains(side)).map(|side| side as usize);
    let size = match value {
        Value::Array(sides) if sides.len() == 2 => side(&sides[0]).zip(side(&sides[1])),
        side_of_both => side(side_of_both).map(|side| (side, side)),
    };
    let expected = format!("a side or [height, width] of 1 to {most} pixels");
    size.map(|(height, width)| [height, width]).ok_or_else(|| wrong("image_size", &expected, value))
}

/// Refuses what is too large for one job, or for the machine.
fn check_size(num: usize, shape: [usize; 3], served: &Served) -> Result<(), String> {
    let [channels, height, width] = shape;
    let values = num * channels * height * width;
    // On another device the network has memory of its own.
    let config = &served.model.spec.config;
    let needed = if served.on_cpu { least_to_predict(config, &shape, num) } else { 0.0 };
    if values > VALUES || needed > sfumato_files::memory::limit() as f64 {
        return Err(format!(
            "num {num} is too many pictures of {height}x{width} pixels: ask for fewer, or for smaller ones with image_size"
        ));
    }
    Ok(())
}

/// The settings in words of the API, complete.
fn described(asked: &Asked, choice: &SamplerChoice, plan: &SamplePlan<'_>, model: &Pipeline) -> Value {
    let defaults = &model.spec.scheduler.sampling;
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| drop(map.insert(name.to_owned(), value));
    put("num", json!(asked.num));
    put("seed", json!(asked.seed));
    match plan.classes {
        Classes::None => {}
        Classes::Cycle(_) => put("class", Value::Null),
        Classes::Only(class) | Classes::Path { from: class, .. } => {
            put("class", json!(class));
            if let Some(name) = model.spec.facts.class_names.get(class) {
                put("class_name", json!(name));
            }
        }
    }
    if plan.guidance.is_some() {
        put("guidance", json!(asked.guidance));
        if let Some(GuidanceInterval { low, high }) = asked.guidance_interval {
            // There is no infinity in JSON.
            put("guidance_interval", json!([low, high.is_finite().then_some(high)]));
        }
    }
    put("sampler", json!(choice.kind.name()));
    put("steps", json!(plan.sampler.steps()));
    let placement = asked.placement.unwrap_or(choice.spacing.unwrap_or(defaults.spacing).into());
    put("spacing", json!(placement.name()));
    if takes(choice.kind, "eta", model) {
        put("eta", json!(choice.eta));
    }
    if takes(choice.kind, "order", model) {
        put("order", json!(choice.order.or(plan.sampler.order())));
    }
    if takes(choice.kind, "karras", model) {
        put("karras", json!(choice.karras.unwrap_or(defaults.karras)));
    }
    put("image_size", json!(plan.shape[1..]));
    Value::Object(map)
}

/// Options that only some samplers have.
pub(super) const SPECIAL: [&str; 3] = ["eta", "order", "karras"];

/// Whether a sampler has one of [`SPECIAL`]. The model's own check says it, so that there is no second list of them here.
pub(super) fn takes(kind: SamplerKind, option: &str, model: &Pipeline) -> bool {
    let plain = SamplerChoice::new(kind);
    let choice = match option {
        "eta" => SamplerChoice { eta: 0.5, ..plain },
        "order" => SamplerChoice { order: SolverOrder::try_from(2).ok(), ..plain },
        _ => SamplerChoice { karras: Some(true), ..plain },
    };
    let options = SampleOptions { sampler: Some(kind), choice, class: some_class(model), ..SampleOptions::new(1) };
    options.check(model).is_ok()
}

/// A class, for models that cannot do without.
fn some_class(model: &Pipeline) -> Option<usize> {
    matches!(model.labels(), Ok(Labels::Any)).then_some(0)
}

/// What is probably a mistake, and why.
fn notes(choice: &SamplerChoice, plan: &SamplePlan<'_>, model: &Pipeline) -> Vec<String> {
    let schedule = plan.sampler.chain().trained_schedule();
    let late = LateStart::find(choice, &model.spec.scheduler, schedule).ok().flatten();
    // It is written for the command line.
    let mut notes: Vec<String> =
        late.map(|late| late.to_string().replace("--spacing", "spacing")).into_iter().collect();
    let (steps, fewest) = (plan.sampler.steps(), choice.kind.info().fewest_steps);
    if steps < fewest.min(schedule.steps()) {
        notes.push(format!("so few steps of {} draw blurred pictures or holes; take {fewest} or more", choice.kind));
    }
    notes
}

/// An error of the model in words of the API.
fn in_json(error: &ModelError) -> String {
    match error {
        ModelError::Value { option, value, reason } | ModelError::Unfit { option, value, reason } => {
            format!("{} {value}: {}", option.replace('-', "_"), reason.replace("--null-class", "serve --null-class"))
        }
        other => other.to_string(),
    }
}

/// Whether the model is one that the page can show.
///
/// # Errors
/// If it draws no pictures.
pub(super) fn check_model(model: &Pipeline) -> anyhow::Result<()> {
    let channels = match &model.spec.config {
        AnyConfig::UNet(config) => config.in_channels,
        other => anyhow::bail!(
            "{}: `serve` shows pictures, and a {} draws points; `sfumato sample` draws a plot of them",
            model.dir().display(),
            other.class_name()
        ),
    };
    anyhow::ensure!(
        matches!(channels, 1 | 3 | 4),
        "{}: samples with {channels} channels are no pictures (those have 1, 3 or 4); `sfumato sample` writes them as an array",
        model.dir().display()
    );
    model.check_channels().map_err(crate::args::of_model)?;
    model.labels().map_err(crate::args::of_model)?;
    Ok(())
}

#[cfg(test)]
impl Settings {
    /// One grey pixel.
    pub(super) fn of_test() -> Self {
        let choice = SamplerChoice::new(SamplerKind::Ddpm);
        let asked = Asked {
            num: 1,
            seed: 0,
            class: None,
            guidance: 1.0,
            guidance_interval: None,
            sampler: None,
            choice,
            placement: None,
            image_size: None,
        };
        let record = json!({
            "sampler": "ddpm", "steps": 3, "spacing": "trailing", "weights_sha256": "", "scheduler_sha256": "", "network_sha256": "",
        });
        let record = serde_json::from_value(record).expect("these are all that settings need");
        Self { asked, steps: 3, shape: [1, 1, 1], described: json!({}), record, notes: Vec::new() }
    }
}
