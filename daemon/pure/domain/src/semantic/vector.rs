//! Vectors of half precision (IEEE 754 binary16), and the one that is nearest.
//!
//! A vector of 256 numbers takes 512 bytes. They are read as `f32` by moving bits, which compilers make wide instructions of
//! on every processor, and added up as `f32`.

/// A vector of length 1, so that the likeness of two (their cosine) is the sum of their products.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vector(Box<[u16]>);

/// Most numbers of a vector: the embeddings of today have 4,096 at most.
pub const DIMENSIONS_MAX: usize = 8_192;

impl Vector {
    /// Of numbers; `None` if there are none or more than [`DIMENSIONS_MAX`], one is infinite, or all are zero.
    #[must_use]
    pub fn of(numbers: &[f32]) -> Option<Self> {
        if numbers.is_empty() || numbers.len() > DIMENSIONS_MAX {
            return None;
        }
        // As `f64`: the squares of large numbers are no `f32`.
        let length = numbers.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
        if !length.is_finite() || length < f64::MIN_POSITIVE {
            return None;
        }
        let scaled = numbers.iter().map(|number| f64::from(*number) / length);
        #[expect(clippy::cast_possible_truncation, reason = "of numbers up to 1, the nearest f32 is wanted")]
        Some(Self(scaled.map(|number| half(number as f32)).collect()))
    }

    /// From the bytes that [`Vector::to_bytes`] gave; `None` if they are of no such vector.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let vector = Self(pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect());
        let fits = rest.is_empty() && !pairs.is_empty() && pairs.len() <= DIMENSIONS_MAX;
        // What is no number has all bits of the exponent set; what is not of length 1 is damaged.
        let is_number = vector.0.iter().all(|bits| bits & 0x7c00 != 0x7c00);
        (fits && is_number && (vector.dot(&vector) - 1.0).abs() < 0.01).then_some(vector)
    }

    /// Two bytes a number, the lower one first.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|bits| bits.to_le_bytes()).collect()
    }

    /// How many numbers it has.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.0.len()
    }

    /// The cosine: 1 for the same direction, 0 where the numbers differ in count.
    #[must_use]
    pub fn likeness(&self, other: &Self) -> f32 {
        if self.0.len() == other.0.len() { self.dot(other).clamp(-1.0, 1.0) } else { 0.0 }
    }

    fn dot(&self, other: &Self) -> f32 {
        dot(&ready(&self.numbers()), &other.0)
    }

    /// Its numbers.
    #[must_use]
    pub fn numbers(&self) -> Vec<f32> {
        self.0.iter().map(|bits| single(*bits)).collect()
    }
}

/// Vectors of one partition in one piece of memory, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    dimensions: usize,
    numbers: Vec<u16>,
}

/// One that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// Its place on the shelf.
    pub place: usize,
    /// How like it is: the cosine.
    pub likeness: f32,
}

impl Shelf {
    /// Puts a vector at the end. The first one says how many numbers each has; one of another count is not taken, and that
    /// is told: another model made it.
    #[must_use]
    pub fn push(&mut self, vector: &Vector) -> bool {
        if self.numbers.is_empty() {
            self.dimensions = vector.dimensions();
        }
        let fits = self.dimensions == vector.dimensions();
        if fits {
            self.numbers.extend_from_slice(&vector.0);
        }
        fits
    }

    /// Takes one out; the last one comes in its place, so that nothing else moves.
    pub fn swap_remove(&mut self, place: usize) {
        let Some(last) = self.len().checked_sub(1).filter(|last| place <= *last) else { return };
        let from = last * self.dimensions;
        self.numbers.copy_within(from.., place * self.dimensions);
        self.numbers.truncate(from);
    }

    /// How many numbers each vector has; 0 before the first came.
    #[must_use]
    pub const fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers.len().checked_div(self.dimensions).unwrap_or_default()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The most like of those that are at least so like, at most `count` of them, the most like first.
    #[must_use]
    pub fn nearest(&self, asked: &Vector, at_least: f32, count: usize) -> Vec<Near> {
        let mut found: Vec<Near> = Vec::with_capacity(count.min(64) + 1);
        if asked.dimensions() != self.dimensions || count == 0 {
            return found;
        }
        let wide = ready(&asked.numbers());
        let mut bar = at_least;
        for (place, vector) in self.numbers.chunks_exact(self.dimensions).enumerate() {
            let likeness = dot(&wide, vector);
            if likeness < bar {
                continue;
            }
            let rank = found.partition_point(|near| near.likeness >= likeness);
            found.insert(rank, Near { place, likeness: likeness.min(1.0) });
            found.truncate(count);
            if let Some(last) = found.get(count - 1) {
                bar = last.likeness;
            }
        }
        found
    }
}

/// Sums that are kept beside each other, so that several are added at once.
const LANES: usize = 16;

/// Numbers of a vector, multiplied by [`SHIFT`], so that those of the other need not be.
fn ready(numbers: &[f32]) -> Vec<f32> {
    numbers.iter().map(|number| number * SHIFT).collect()
}

/// The sum of the products with a vector that is [`ready`].
fn dot(wide: &[f32], bits: &[u16]) -> f32 {
    let (wide, wide_rest) = wide.as_chunks::<LANES>();
    let (narrow, narrow_rest) = bits.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for (wide, narrow) in wide.iter().zip(narrow) {
        for ((sum, wide), bits) in sums.iter_mut().zip(wide).zip(narrow) {
            *sum += wide * shifted(*bits);
        }
    }
    let rest: f32 = wide_rest.iter().zip(narrow_rest).map(|(wide, bits)| wide * shifted(*bits)).sum();
    sums.iter().sum::<f32>() + rest
}

/// The number of half precision as `f32`, exactly; infinities and what is no number are not wanted here.
#[must_use]
pub const fn single(bits: u16) -> f32 {
    shifted(bits) * SHIFT
}

/// The exponents of both kinds differ by 112.
const SHIFT: f32 = f32::from_bits((127 + 112) << 23);

/// The bits moved to where `f32` has them: the number divided by [`SHIFT`], also for the smallest ones, that have no leading
/// one. The sign comes along because the move to the right copies it.
const fn shifted(bits: u16) -> f32 {
    let moved = ((bits as u32) << 16).cast_signed() >> 3;
    f32::from_bits(moved.cast_unsigned() & 0x8fff_e000)
}

/// The nearest number of half precision, the even one of two that are as near. What is too large becomes infinite.
#[must_use]
fn half(number: f32) -> u16 {
    let bits = number.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    // The smallest number with a leading one is 2⁻¹⁴.
    let rounded = if magnitude < (127 - 14) << 23 {
        // Added to a number of which the last bit is worth 2⁻²⁴, it is rounded to that by the processor.
        const LAST_BIT: f32 = 0.5;
        (f32::from_bits(magnitude) + LAST_BIT).to_bits() - LAST_BIT.to_bits()
    } else {
        let odd = (magnitude >> 13) & 1;
        ((magnitude - (112 << 23)) + 0x0fff + odd) >> 13
    };
    let rounded = if magnitude > 0x7f80_0000 { 0x7e00 } else { rounded.min(0x7c00) };
    sign | u16::try_from(rounded).unwrap_or(0x7c00)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_number_of_half_precision_comes_back() {
        for bits in 0..=u16::MAX {
            if bits & 0x7c00 != 0x7c00 {
                assert_eq!(half(single(bits)), bits, "{bits:#x}");
            }
        }
    }

    #[test]
    fn numbers_are_rounded_to_the_nearest() {
        for (number, want) in [
            (0.0, 0x0000),
            (-0.0, 0x8000),
            (1.0, 0x3c00),
            (-2.0, 0xc000),
            (0.333_333_34, 0x3555),
            (65_504.0, 0x7bff),
            (65_520.0, 0x7c00),
            (1e30, 0x7c00),
            (f32::INFINITY, 0x7c00),
            (6.0e-8, 0x0001),
            (2.0e-8, 0x0000),
            // Half way: to the even one.
            (1.000_488_3, 0x3c00),
            (1.001_464_8, 0x3c02),
        ] {
            assert_eq!(half(number), want, "{number}");
        }
        assert_eq!(half(f32::NAN) & 0x7c00, 0x7c00);
    }

    #[test]
    fn what_is_no_direction_is_no_vector() {
        for numbers in [&[][..], &[0.0, 0.0], &[f32::NAN], &[f32::INFINITY, 1.0], &vec![1.0; DIMENSIONS_MAX + 1]] {
            assert_eq!(Vector::of(numbers), None, "{} numbers", numbers.len());
        }
        assert!(Vector::of(&[1e-30, 0.0]).is_some() && Vector::of(&[3e38; 4]).is_some());
        for bytes in [&[][..], &[0], &[0, 0, 0, 0], &[0, 0x7c], &[0, 0x3c, 0, 0x3c], &[0, 0x3c, 0]] {
            assert_eq!(Vector::read(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn the_nearest_are_found_in_order() {
        let vector = |x: f32, y: f32| Vector::of(&[x, y]).unwrap();
        let mut shelf = Shelf::default();
        assert!(shelf.nearest(&vector(1.0, 0.0), 0.0, 3).is_empty());
        for (x, y) in [(0.0, 1.0), (1.0, 0.1), (1.0, 0.0), (1.0, 1.0), (-1.0, 0.0)] {
            assert!(shelf.push(&vector(x, y)));
        }
        assert!(!shelf.push(&Vector::of(&[1.0, 0.0, 0.0]).unwrap()));
        let places = |shelf: &Shelf, at_least, count| -> Vec<usize> {
            shelf.nearest(&vector(1.0, 0.0), at_least, count).iter().map(|near| near.place).collect()
        };
        assert_eq!(places(&shelf, 0.5, 10), [2, 1, 3]);
        assert_eq!(places(&shelf, 0.5, 1), [2]);
        assert_eq!(places(&shelf, 0.999, 10), [2]);
        assert_eq!(places(&shelf, 0.0, 0), [0; 0]);
        shelf.swap_remove(1);
        assert_eq!((shelf.len(), places(&shelf, 0.5, 10)), (4, vec![2, 3]));
        shelf.swap_remove(9);
        assert_eq!(shelf.len(), 4);
    }

    proptest! {
        #[test]
        fn likeness_is_the_cosine(a in prop::collection::vec(-9.0_f32..9.0, 37), b in prop::collection::vec(-9.0_f32..9.0, 37)) {
            let length = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
            prop_assume!(length(&a) > 0.1 && length(&b) > 0.1);
            let want = a.iter().zip(&b).map(|(a, b)| a * b).sum::<f32>() / length(&a) / length(&b);
            let (a, b) = (Vector::of(&a).unwrap(), Vector::of(&b).unwrap());
            prop_assert!((a.likeness(&b) - want).abs() < 2e-3, "{} {}", a.likeness(&b), want);
            prop_assert_eq!(Vector::read(&a.to_bytes()), Some(a.clone()));
            let mut shelf = Shelf::default();
            prop_assert!(shelf.push(&a) && shelf.push(&b));
            prop_assert_eq!(shelf.nearest(&a, -1.0, 1)[0].place, 0);
        }
    }
}
