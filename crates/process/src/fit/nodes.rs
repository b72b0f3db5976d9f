//! Which steps are measured.

/// Steps of `1..=total` at which a network is measured: the first eight, then ever fewer, a quarter of `t` apart and at most `stride`, and
/// the last. A stride of 1 measures every step.
///
/// # Examples
/// ```
/// use sfumato_process::fit::measured_steps;
///
/// let steps = measured_steps(1000, 100);
/// assert_eq!(steps[..12], [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18]);
/// assert_eq!(steps[steps.len() - 3..], [857, 957, 1000]);
/// assert_eq!(measured_steps(1000, 1).len(), 1000);
/// ```
pub fn measured_steps(total: usize, stride: usize) -> Vec<usize> {
    let mut steps = Vec::new();
    let mut next = 1;
    while next < total {
        steps.push(next);
        next += (next / 4).clamp(1, stride.max(1));
    }
    steps.push(total);
    steps
}
