//! Numbers, however they are written, and what they count.

use super::class::Class;
use super::scan::Piece;

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const ORDINALS: [&str; 12] = [
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth",
];
/// Units of measure: each line is the name that stands for all, and the others, plurals as well.
const UNITS: [&str; 47] = [
    "percent %",
    "km kilometer kilometre kilometers kilometres kms",
    "m meter metre meters metres",
    "cm centimeter centimetre centimeters centimetres",
    "mm millimeter millimetre millimeters millimetres",
    "mile miles mi",
    "yard yards yd",
    "foot feet ft",
    "inch inches",
    "kg kilogram kilograms kilogramme kilo kilos kgs",
    "g gram grams gramme grammes",
    "mg milligram milligrams",
    "pound pounds lb lbs",
    "ounce ounces oz",
    "ton tons",
    "tonne tonnes",
    "liter litre liters litres l",
    "ml milliliter millilitre milliliters millilitres",
    "cup cups",
    "tablespoon tablespoons tbsp",
    "teaspoon teaspoons tsp",
    "gallon gallons gal",
    "pint pints",
    "quart quarts",
    "second seconds sec secs s",
    "minute minutes min mins",
    "hour hours hr hrs h",
    "day days",
    "week weeks wk",
    "month months",
    "year years yr yrs",
    "decade decades",
    "century centuries",
    "degree degrees °",
    "celsius °c",
    "fahrenheit °f",
    "kelvin",
    "watt watts w",
    "kilowatt kilowatts kw",
    "kwh",
    "volt volts v",
    "amp amps ampere amperes",
    "hz hertz",
    "byte bytes",
    "mb megabyte megabytes",
    "gb gigabyte gigabytes",
    "tb terabyte terabytes",
];
/// Currencies, in the same way.
const CURRENCIES: [&str; 12] = [
    "dollar dollars $",
    "euro euros € eur",
    "cent cents ¢",
    "gbp £",
    "yen ¥ jpy",
    "rupee rupees ₹ inr",
    "franc francs chf",
    "ruble rubles ₽",
    "bitcoin bitcoins ₿ btc",
    "usd",
    "peso pesos",
    "yuan cny",
];
const MONTHS: [&str; 12] = [
    "january jan",
    "february feb",
    "march mar",
    "april apr",
    "may",
    "june jun",
    "july jul",
    "august aug",
    "september sep sept",
    "october oct",
    "november nov",
    "december dec",
];

/// Numbers above this are taken as they are written.
const VALUE_MAX: u64 = 1_000_000_000_000;

/// Writes all numbers in one way, and their units, currencies and months behind them.
pub(super) fn normalise(pieces: Vec<Piece>) -> Vec<Piece> {
    let counted = dates(currencies(units(words(pieces.into_iter().flat_map(split).collect()))));
    counted.into_iter().filter(|piece| !piece.text.is_empty()).collect()
}

fn number(text: &str) -> Piece {
    Piece::new(text, Class::Number)
}

/// The name that stands for all of a line.
fn named(lists: &[&'static str], word: &str) -> Option<&'static str> {
    let line = lists.iter().find(|line| line.split(' ').any(|name| name == word))?;
    line.split(' ').next()
}

/// Parts `5km` and `3rd`, and takes the marks out of `1,000`.
fn split(piece: Piece) -> Vec<Piece> {
    if piece.class != Class::Number {
        return vec![piece];
    }
    if let Some(date) = written_date(&piece) {
        return date;
    }
    let is_part = |letter: char| letter.is_ascii_digit() || matches!(letter, '.' | ',');
    let digits = piece.text.len() - piece.text.trim_start_matches(is_part).len();
    let (digits, rest) = piece.text.split_at(digits);
    let value = Piece { text: digits.replace(',', ""), ..piece.clone() };
    match rest {
        "" => vec![value],
        "st" | "nd" | "rd" | "th" => vec![Piece { text: format!("{digits}th"), ..value }],
        "am" | "pm" => vec![value, Piece::new(rest, Class::Unit)],
        "k" if !digits.is_empty() => vec![Piece { text: format!("{}k", value.text), ..value }],
        _ if digits.is_empty() => vec![piece],
        _ => match named(&UNITS, rest).or_else(|| named(&CURRENCIES, rest)) {
            Some(_) => vec![value, Piece::new(rest, Class::Word)],
            None => vec![piece],
        },
    }
}

/// `2024-05-01` as day, month and year.
fn written_date(piece: &Piece) -> Option<Vec<Piece>> {
    let mut parts = piece.text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?.split(' ').next()?;
    let day = number(day.trim_start_matches('0'));
    Some(vec![Piece { opens: piece.opens, ..day }, Piece::new(month, Class::Date), number(year)])
}

/// Numbers in words become numbers in digits.
fn words(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::with_capacity(pieces.len());
    let mut at = 0;
    while let Some(piece) = pieces.get(at) {
        let rest = pieces.get(at..).unwrap_or_default();
        // Of a unit, `a` is one; of `a hundred`, it is nothing.
        let next = rest.get(1).filter(|_| piece.class == Class::Word && (piece.is("a") || piece.is("an")));
        if next.is_some_and(|next| value(&next.text).is_some_and(|value| value >= 12)) {
            at += 1;
            continue;
        }
        if next.is_some_and(|next| next.text.len() > 2 && named(&UNITS, &next.text).is_some()) {
            out.push(Piece { text: "1".to_owned(), class: Class::Number, ..piece.clone() });
            at += 1;
            continue;
        }
        if let Some((value, length)) = in_words(rest) {
            out.push(Piece { text: value.to_string(), class: Class::Number, ..piece.clone() });
            at += length;
            continue;
        }
        // After a number, a second is a unit.
        let is_unit =
            piece.is("second") && out.last().is_some_and(|last| last.class == Class::Number || last.is("per"));
        match ORDINALS.iter().position(|ordinal| piece.is(ordinal)) {
            Some(position) if !is_unit && piece.class != Class::Quote => {
                out.push(Piece { text: format!("{}th", position + 1), class: Class::Number, ..piece.clone() });
            }
            _ => out.push(piece.clone()),
        }
        at += 1;
    }
    out
}

/// The value of the number in words with which the pieces begin, and how many they are: at most [`NUMBER_WORDS_MAX`].
fn in_words(pieces: &[Piece]) -> Option<(u64, usize)> {
    let (mut total, mut group, mut length, mut last) = (0_u64, 0_u64, 0, 0_u64);
    for (at, piece) in pieces.iter().take(NUMBER_WORDS_MAX).enumerate() {
        if (at > 0 && piece.opens) || piece.class == Class::Quote {
            break;
        }
        let Some(value) = value(&piece.text) else {
            let goes_on = piece.is("and")
                && last >= 100
                && pieces.get(at + 1).is_some_and(|next| value(&next.text).is_some_and(|v| v < 100));
            if goes_on { continue } else { break }
        };
        match value {
            100 if last < 100 => group = group.max(1) * 100,
            1_000 | 1_000_000 | 1_000_000_000 if last != value && (group > 0 || length == 0) => {
                total = total.saturating_add(group.max(1).saturating_mul(value));
                group = 0;
            }
            100 | 1_000 | 1_000_000 | 1_000_000_000 => break,
            // `twenty three` and `hundred and three` go on; `two three` does not.
            _ if length == 0 || last >= 100 || (last >= 20 && last < 100 && value < 10 && value > 0) => group += value,
            _ => break,
        }
        (last, length) = (value, at + 1);
    }
    let value = total.saturating_add(group);
    (length > 0 && value < VALUE_MAX).then_some((value, length))
}

const NUMBER_WORDS_MAX: usize = 16;

fn value(word: &str) -> Option<u64> {
    let place = |list: &[&str]| list.iter().position(|name| *name == word).and_then(|place| u64::try_from(place).ok());
    match word {
        "hundred" => Some(100),
        "thousand" => Some(1_000),
        "million" => Some(1_000_000),
        "billion" => Some(1_000_000_000),
        "dozen" => Some(12),
        _ => place(&SMALL).or_else(|| place(&TENS).map(|place| (place + 2) * 10)),
    }
}

/// After a number, units have one name.
fn units(mut pieces: Vec<Piece>) -> Vec<Piece> {
    for at in 0..pieces.len() {
        let after_number =
            at.checked_sub(1).and_then(|at| pieces.get(at)).is_some_and(|piece| piece.class == Class::Number);
        let Some(piece) = pieces.get_mut(at) else { continue };
        let is_sure = piece.text.len() > 3 || piece.is("%") || piece.is("km") || piece.is("kg");
        if let Some(unit) =
            named(&UNITS, &piece.text).filter(|_| piece.class != Class::Quote && (after_number || is_sure))
        {
            (piece.text, piece.class) = (unit.to_owned(), Class::Unit);
        }
    }
    pieces
}

/// Currencies have one name, and stand behind their number.
fn currencies(mut pieces: Vec<Piece>) -> Vec<Piece> {
    for at in 0..pieces.len() {
        let next_is_number = pieces.get(at + 1).is_some_and(|piece| piece.class == Class::Number);
        let Some(piece) = pieces.get_mut(at) else { continue };
        let Some(name) = named(&CURRENCIES, &piece.text).filter(|_| piece.class != Class::Quote) else { continue };
        let is_before = next_is_number && (piece.class == Class::Sign || piece.text.len() == 3);
        (piece.text, piece.class) = (name.to_owned(), Class::Currency);
        if is_before {
            let opens = std::mem::take(&mut piece.opens);
            pieces.swap(at, at + 1);
            if let Some(number) = pieces.get_mut(at) {
                number.opens = opens;
            }
        }
    }
    pieces
}

/// `May 1st`, `1st of May` and `1 May` are written as the last.
fn dates(mut pieces: Vec<Piece>) -> Vec<Piece> {
    let is_day = |piece: Option<&Piece>| {
        let day = piece.filter(|piece| piece.class == Class::Number).map(|piece| piece.text.trim_end_matches("th"));
        day.and_then(|day| day.parse::<u8>().ok()).is_some_and(|day| (1..=31).contains(&day))
    };
    for at in 0..pieces.len() {
        let before = |back: usize| at.checked_sub(back);
        let Some(month) =
            pieces.get(at).filter(|piece| piece.class != Class::Quote).and_then(|piece| named(&MONTHS, &piece.text))
        else {
            continue;
        };
        let is_day_at = |place: Option<usize>| place.is_some_and(|place| is_day(pieces.get(place)));
        let has_of = before(1).and_then(|at| pieces.get(at)).is_some_and(|piece| piece.is("of"));
        let day = if is_day_at(before(1)) {
            before(1)
        } else if has_of && is_day_at(before(2)) {
            before(2)
        } else {
            Some(at + 1).filter(|at| is_day_at(Some(*at)))
        };
        let next_is_number = pieces.get(at + 1).is_some_and(|piece| piece.class == Class::Number);
        // May is a verb as well, and March; `dec` and `sun` are short for other things.
        let is_sure = month.len() > 5 && pieces.get(at).is_some_and(|piece| piece.is(month));
        if day.is_none() && !next_is_number && !is_sure {
            continue;
        }
        set(&mut pieces, at, month, Class::Date);
        let Some(day) = day else { continue };
        let text = pieces.get(day).map(|piece| piece.text.trim_end_matches("th").to_owned()).unwrap_or_default();
        set(&mut pieces, day, &text, Class::Number);
        if day > at {
            let opens = pieces.get(at).is_some_and(|piece| piece.opens);
            pieces.swap(at, day);
            mark(&mut pieces, day, false);
            mark(&mut pieces, at, opens);
            // The year that follows opens nothing: `May 1, 2024`.
            mark(&mut pieces, day + 1, false);
        } else if at - day == 2 {
            set(&mut pieces, at - 1, "", Class::Word);
        }
    }
    pieces
}

fn set(pieces: &mut [Piece], at: usize, text: &str, class: Class) {
    if let Some(piece) = pieces.get_mut(at) {
        (piece.text, piece.class) = (text.to_owned(), class);
    }
}

fn mark(pieces: &mut [Piece], at: usize, opens: bool) {
    if let Some(piece) = pieces.get_mut(at) {
        piece.opens = opens;
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan::scan;
    use super::*;

    fn texts(text: &str) -> String {
        let pieces = normalise(scan(text));
        pieces.iter().map(|piece| &*piece.text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn numbers_have_one_form() {
        for (one, other) in [
            ("1,000 eggs", "1000 eggs"),
            ("two eggs", "2 eggs"),
            ("two hundred and fifty", "250"),
            ("one thousand two hundred", "1,200"),
            ("twenty-three", "23"),
            ("$5", "5 dollars"),
            ("5€", "5 euros"),
            ("10%", "ten percent"),
            ("5km", "5 kilometers"),
            ("3rd place", "third place"),
            ("May 1, 2024", "1st of May 2024"),
            ("2024-05-01", "1 May 2024"),
            ("on Dec 24", "on 24 December"),
            ("30 seconds", "30 s"),
            ("5 pm", "5pm"),
            ("a hundred grams", "100 g"),
            ("in an ounce", "in one ounce"),
            ("a million", "one million"),
        ] {
            assert_eq!(texts(one), texts(other), "{one} / {other}");
        }
    }

    #[test]
    fn what_differs_stays_apart() {
        for (one, other) in [
            ("3.1", "3.10"),
            ("5", "-5"),
            ("3", "3rd"),
            ("1,5", "15"),
            ("two three", "23"),
            ("5 km", "5 miles"),
            ("$5", "€5"),
            ("1/2", "12"),
            ("h264", "h265"),
            ("may I", "march I"),
            ("5k", "5"),
            ("one hundred", "one thousand"),
            ("2024-05-01", "2024-01-05"),
            ("5:30", "530"),
            ("second", "seconds"),
            ("5 m", "5 min"),
            ("'two'", "2"),
        ] {
            assert_ne!(texts(one), texts(other), "{one} / {other}");
        }
    }

    #[test]
    fn endless_numbers_end() {
        assert!(texts(&"thousand million ".repeat(1_000)).len() < 20_000);
        assert!(texts(&"nine hundred ".repeat(1_000)).len() < 20_000);
        assert!(!texts(&"may 1 ".repeat(1_000)).is_empty());
    }
}
