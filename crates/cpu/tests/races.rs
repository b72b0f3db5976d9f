//! A race on purpose, to see that ThreadSanitizer finds it: `cargo xtask memcheck --threads` runs it before all other tests.

/// An address that threads share, as those of the kernels' slices are.
#[derive(Clone, Copy)]
struct Address(*mut f32);

// SAFETY: none; the threads write the same value, which is what is to be found.
unsafe impl Send for Address {}

impl Address {
    fn write(self, value: f32) {
        // SAFETY: none, as above; the value is alive.
        unsafe { self.0.write(value) }
    }
}

#[test]
#[ignore = "undefined on purpose; cargo xtask memcheck --threads wants ThreadSanitizer to end it"]
fn two_threads_write_one_value() {
    let mut value = 0.0;
    let address = Address(&raw mut value);
    std::thread::scope(|scope| {
        scope.spawn(move || (0..1000).for_each(|i| address.write(i as f32)));
        scope.spawn(move || (0..1000).for_each(|i| address.write(i as f32)));
    });
}
