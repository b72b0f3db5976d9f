//! One file a concern.

pub(crate) mod ceiling;
pub(crate) mod curve;
#[cfg(feature = "device")]
pub(crate) mod device;
pub(crate) mod objectives;
pub(crate) mod peer;
pub(crate) mod scaling;

use burn::backend::{Autodiff, Flex, flex::FlexDevice};

/// The backend that is measured where nothing else is said.
type B = Autodiff<Flex>;
type Inner = Flex;
const DEVICE: FlexDevice = FlexDevice;
