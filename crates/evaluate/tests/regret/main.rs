//! The optimum is the one that its formula says, and the regret tells apart who has learned by heart.

mod measured;
mod mixture;
mod points;
