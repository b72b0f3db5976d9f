//! The whole network of any size against the composed operations in f64, forward and backward.
//!
//! The kernels of the CPU backends take f32 alone: a network whose parameters are f64 runs on the composed operations, one after the
//! other, in one piece. `PROPTEST_CASES` says how many networks are tried, `PROPTEST_RNG_SEED` which.

mod case;

use burn::{
    backend::{Autodiff, Flex, flex::FlexDevice},
    module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{DType, Tensor, TensorData, backend::AutodiffBackend},
};
use case::{Case, Told, case};
use proptest::{prelude::*, test_runner::Config};

use super::{Condition, UNet2D, parts::PartSize};
use crate::{layers::DropoutKey, params::RandomParams};

type Train = Autodiff<Flex>;

/// Networks that are tried where nobody asks for more.
const CASES: u32 = 64;
/// Relative error that a result or a gradient may have.
const TOLERANCE: f64 = 2e-4;
/// What it may have beside it of the norm of all gradients together: that of a value which is next to nothing is rounding.
const FLOOR: f64 = 2e-6;

fn values(seed: usize, len: usize) -> Vec<f32> {
    let mut state = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    (0..len).map(|_| 3.4 * (uniform() - 0.5)).collect()
}

fn tensor<B: burn::tensor::backend::Backend<Device = FlexDevice>, const D: usize>(
    seed: usize,
    shape: [usize; D],
    dtype: DType,
) -> Tensor<B, D> {
    Tensor::from_data(TensorData::new(values(seed, shape.iter().product()), shape), (&FlexDevice, dtype))
}

fn host<B: burn::tensor::backend::Backend, const D: usize>(x: Tensor<B, D>) -> Vec<f64> {
    x.into_data().iter::<f64>().collect()
}

/// The same numbers as f64.
struct Widen;

impl ModuleMapper<Train> for Widen {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<Train, D>>) -> Param<Tensor<Train, D>> {
        let (id, tensor, mapper) = param.consume();
        let tracked = tensor.is_require_grad();
        let wide = Tensor::from_data(tensor.into_data(), (&FlexDevice, DType::F64)).set_require_grad(tracked);
        Param::from_mapped_value(id, wide, mapper)
    }
}

/// Names and gradients of all parameters; empty where there is none.
struct Gradients<'a> {
    all: &'a <Train as AutodiffBackend>::Gradients,
    path: Vec<String>,
    found: Vec<(String, Vec<f64>)>,
}

impl ModuleVisitor<Train> for Gradients<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Train, D>>) {
        let gradient = param.val().grad(self.all).map(host).unwrap_or_default();
        self.found.push((self.path.join("."), gradient));
    }
}

fn condition<B>(case: &Case, dtype: DType) -> Condition<'_, B>
where
    B: sfumato_kernels::Backend<Device = FlexDevice>,
{
    match &case.condition {
        Told::Nothing => Condition::None,
        Told::Labels(labels) => Condition::Classes(labels),
        Told::Vectors => Condition::Embedding(tensor(2, [case.batch, case.config.time_embed_dim()], dtype)),
    }
}

/// The result, the gradient of the input, and those of all parameters of `Σ weights · result`.
fn run(net: &UNet2D<Train>, case: &Case, dtype: DType, dropout: Option<DropoutKey>) -> Vec<(String, Vec<f64>)> {
    let x = tensor::<Train, 4>(1, case.shape(), dtype).require_grad();
    let y = net
        .forward_with(x.clone(), &case.timesteps(), condition(case, dtype), dropout)
        .expect("the case fits the network");
    let weights = tensor::<Train, 4>(3, y.dims(), dtype);
    let all = (y.clone() * weights).sum().backward();
    let mut gradients = Gradients { all: &all, path: Vec::new(), found: Vec::new() };
    net.visit(&mut gradients);
    let of_input = host(x.grad(&all).expect("the input is tracked"));
    let mut results = vec![("the result".to_owned(), host(y)), ("the input".to_owned(), of_input)];
    results.extend(gradients.found);
    results
}

/// The result where no gradient is wanted, in parts as `case` says.
fn evaluate(net: &UNet2D<Train>, case: &Case) -> Vec<f64> {
    let mut net = net.valid();
    net.cut_by(PartSize::of(case.part, case.weights));
    let x = tensor::<Flex, 4>(1, case.shape(), DType::F32);
    host(net.forward_with(x, &case.timesteps(), condition(case, DType::F32), None).expect("the case fits the network"))
}

fn norm(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// Where `got` differs from `want`, if it does.
fn difference(name: &str, got: &[f64], want: &[f64], floor: f64) -> Option<String> {
    if got.len() != want.len() {
        return Some(format!("{name} has {} values, expected {}", got.len(), want.len()));
    }
    let error = norm(got.iter().zip(want).map(|(a, b)| a - b));
    let size = norm(want.iter().copied());
    // NaN is no small error.
    let fits = error <= TOLERANCE * size + floor;
    (!fits).then(|| format!("{name}: an error of {error:e} beside {size:e} (floor {floor:e})"))
}

fn check(case: &Case) -> Result<(), TestCaseError> {
    let source = || RandomParams::new(7).without_zero_init();
    let net = case
        .config
        .build::<Train>(&mut source(), &FlexDevice)
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    let wide = net.clone().map(&mut Widen);
    let dropout = (case.config.dropout > 0.0).then(|| DropoutKey::new(5, 11));
    let want = run(&wide, case, DType::F64, dropout);
    let plain = if dropout.is_some() { run(&wide, case, DType::F64, None).swap_remove(0).1 } else { want[0].1.clone() };
    // Every thread pool has its own number of threads, which decides how work and caches are shared out.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(case.threads).build().expect("a few threads can be had");
    let (got, evaluated) = pool.install(|| (run(&net, case, DType::F32, dropout), evaluate(&net, case)));
    let floor = FLOOR * norm(want[1..].iter().flat_map(|(_, gradient)| gradient.iter().copied()));
    let found = got.iter().zip(&want).filter_map(|((name, got), (_, want))| difference(name, got, want, floor));
    let found: Vec<String> =
        found.chain(difference("the result without a gradient", &evaluated, &plain, 0.0)).collect();
    let first = &found[..found.len().min(6)];
    prop_assert!(found.is_empty(), "{} results are wrong:\n{}", found.len(), first.join("\n"));
    Ok(())
}

#[test]
fn networks_of_any_size_compute_what_the_composed_operations_do() {
    let environment = Config { failure_persistence: None, max_shrink_iters: 40, ..Config::default() };
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { environment.cases } else { CASES };
    proptest!(Config { cases, ..environment }, |(case in case())| check(&case)?);
}
