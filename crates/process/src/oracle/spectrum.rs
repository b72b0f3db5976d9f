//! Eigenvalues of small symmetric matrices: the cyclic Jacobi method.

/// Sweeps after which every matrix met in practice has long converged; each squares the off-diagonal part.
const SWEEPS: usize = 64;

/// The eigenvalues and, row by row, the orthonormal eigenvectors of the symmetric matrix `a`, `n × n` in row-major order.
///
/// # Formula
/// `a = Σ_j λ_j v_j v_jᵀ` (Golub & Van Loan, Matrix Computations, §8.5)
pub(super) fn eigen(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut vectors = vec![0.0; n * n];
    (0..n).for_each(|i| vectors[i * n + i] = 1.0);
    let scale: f64 = a.iter().map(|x| x * x).sum();
    for _ in 0..SWEEPS {
        let off: f64 = (0..n).flat_map(|p| (0..p).map(move |q| (p, q))).map(|(p, q)| a[p * n + q].powi(2)).sum();
        if off <= f64::EPSILON.powi(2) * scale * f64::EPSILON {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, n, p, q);
            }
        }
    }
    ((0..n).map(|i| a[i * n + i]).collect(), vectors)
}

/// One rotation in the plane of axes `p` and `q` that makes their off-diagonal entry 0.
fn rotate(a: &mut [f64], vectors: &mut [f64], n: usize, p: usize, q: usize) {
    let apq = a[p * n + q];
    if apq == 0.0 {
        return;
    }
    // The smaller of the two possible angles, from cot 2φ.
    let tau = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
    let tan = tau.signum() / (tau.abs() + tau.hypot(1.0));
    let cos = 1.0 / tan.hypot(1.0);
    let sin = tan * cos;
    for k in 0..n {
        let (x, y) = (a[k * n + p], a[k * n + q]);
        (a[k * n + p], a[k * n + q]) = (cos * x - sin * y, sin * x + cos * y);
    }
    for k in 0..n {
        let (x, y) = (a[p * n + k], a[q * n + k]);
        (a[p * n + k], a[q * n + k]) = (cos * x - sin * y, sin * x + cos * y);
        let (x, y) = (vectors[p * n + k], vectors[q * n + k]);
        (vectors[p * n + k], vectors[q * n + k]) = (cos * x - sin * y, sin * x + cos * y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvalues_and_vectors_put_the_matrix_together_again() {
        let n = 4;
        // Distinct, repeated and nearly equal eigenvalues; a diagonal matrix; a dense one.
        let matrices = [
            vec![2., 1., 0., 0., 1., 2., 0., 0., 0., 0., 3., 1e-9, 0., 0., 1e-9, 3.],
            vec![1., 0., 0., 0., 0., 2., 0., 0., 0., 0., 3., 0., 0., 0., 0., 4.],
            vec![4., -2., 0.5, 1., -2., 3., 0.25, -0.5, 0.5, 0.25, 1., 0.125, 1., -0.5, 0.125, 2.],
        ];
        for a in matrices {
            let (values, vectors) = eigen(a.clone(), n);
            for i in 0..n {
                for j in 0..n {
                    let entry: f64 = (0..n).map(|k| values[k] * vectors[k * n + i] * vectors[k * n + j]).sum();
                    assert!((entry - a[i * n + j]).abs() < 1e-14, "({i}, {j}): {entry} against {}", a[i * n + j]);
                    let dot: f64 = (0..n).map(|k| vectors[i * n + k] * vectors[j * n + k]).sum();
                    assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-14);
                }
            }
        }
    }
}
