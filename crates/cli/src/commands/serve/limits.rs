//! What one request may ask for: enough to play, too little to fill the machine.

use std::time::Duration;

/// Pictures of one job.
pub(super) const PICTURES: u64 = 64;
/// Longest side of a picture, in pixels, whatever the model.
pub(super) const SIDE: u64 = 1024;
/// Longest side in sides of the model's own pictures: attention takes the fourth power of it in time.
pub(super) const TIMES_LARGER: u64 = 4;
/// Numbers in all pictures of a job (pictures × channels × height × width): 64 MiB of `f32`.
pub(super) const VALUES: usize = 1 << 24;
/// Bytes of a request's body; settings take a few hundred.
pub(super) const BODY: usize = 64 << 10;
/// Bytes of a body that is too long which are read and dropped, so that the client gets to see the answer.
pub(super) const DRAINED: usize = 1 << 20;

/// Jobs that wait.
pub(super) const WAITING: usize = 64;
/// Jobs of one client that wait.
pub(super) const WAITING_OF_ONE: usize = 16;
/// Jobs that have ended and can still be asked for.
pub(super) const KEPT: usize = 64;
/// Bytes of all pictures that are kept.
pub(super) const KEPT_BYTES: usize = 128 << 20;
/// How long a job is kept after its end.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(15 * 60);

/// Connections at a time.
pub(super) const CONNECTIONS: usize = 256;
/// Time in which the head of a request has to come, and until the next one on the same connection.
pub(super) const HEAD_TIME: Duration = Duration::from_secs(5);
/// Time in which the body has to come.
pub(super) const BODY_TIME: Duration = Duration::from_secs(5);
/// Time in which a client has to take something of an answer.
pub(super) const STALL_TIME: Duration = Duration::from_secs(20);
/// Silence after which a comment is sent to those that watch a job, so that a connection that is gone is noticed.
pub(super) const COMMENT_EVERY: Duration = Duration::from_secs(10);

/// Time between two looks at the pictures of a job.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(80);
/// Longest side of a picture that is sent while it emerges, in pixels.
pub(super) const LOOK_SIDE: usize = 128;
/// Time that is given to the current step and to the last answers when the server ends.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);
