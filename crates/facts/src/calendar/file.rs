//! The shape of a calendar file: its lines, put together to components with the line each begins
//! at. The library reads lines and values; what they mean is read elsewhere.

use super::error::Problem;
use countersign_domain::text::shown;
use ical::param::IcalParam;
use ical::prop::{IcalProp, IcalPropKind, IcalPropName};
use ical::tree::line::IcalLine;
use ical::version::IcalVersion;

/// VCALENDAR, VEVENT, and what stands in an event.
const DEPTH_MAX: usize = 4;

/// A property, and its line.
#[derive(Debug)]
pub(super) struct Property {
    pub(super) line: usize,
    pub(super) decoded: IcalProp<'static>,
}

impl Property {
    /// Its kind, when the standard knows it.
    pub(super) fn kind(&self) -> Option<IcalPropKind> {
        match &self.decoded.name {
            IcalPropName::Kind(kind) => Some(*kind),
            IcalPropName::Unknown(_) => None,
        }
    }

    /// Its name, made harmless to show.
    pub(super) fn shown_name(&self) -> String {
        shown(&self.decoded.name, 60)
    }

    /// True for a name that a program made up for itself.
    pub(super) fn is_extension(&self) -> bool {
        let name: &str = &self.decoded.name;
        name.get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case("X-"))
    }

    /// True when it bears this name.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.decoded.name.eq_ignore_ascii_case(name)
    }
}

/// A component, with what stands in it.
#[derive(Debug)]
pub(super) struct Component {
    pub(super) line: usize,
    /// In capitals.
    pub(super) name: String,
    pub(super) properties: Vec<Property>,
    pub(super) children: Vec<Component>,
}

impl Component {
    /// Its name, made harmless to show.
    pub(super) fn shown_name(&self) -> String {
        shown(&self.name, 60)
    }

    /// The text of the only property of this kind.
    pub(super) fn text_of(&self, kind: IcalPropKind) -> Option<&str> {
        let property = self
            .properties
            .iter()
            .find(|one| one.kind() == Some(kind))?;
        super::value::text(property).ok()
    }

    /// The name of the zone that it defines.
    pub(super) fn tzid(&self) -> Option<&str> {
        self.text_of(IcalPropKind::TzId)
    }
}

/// Reads the one component that a file holds.
pub(super) fn read(text: &str) -> Result<Component, (usize, Problem)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut rest = text.as_bytes();
    let mut line = 1;
    let mut open: Vec<Component> = Vec::new();
    let mut whole: Option<Component> = None;
    while rest.iter().any(|byte| !byte.is_ascii_whitespace()) {
        let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace());
        line += blank.filter(|byte| **byte == b'\n').count();
        let start = rest.trim_ascii_start();
        let (read, after) =
            IcalLine::take(start).map_err(|_| (line, Problem::Line(excerpt(start))))?;
        let name = read.name.get();
        if name.eq_ignore_ascii_case("BEGIN") {
            if whole.is_some() {
                return Err((line, Problem::Calendar));
            }
            if open.len() == DEPTH_MAX {
                return Err((line, Problem::Nesting("components are nested too deeply")));
            }
            open.push(Component {
                line,
                name: read.raw_value_str().trim().to_ascii_uppercase(),
                properties: Vec::new(),
                children: Vec::new(),
            });
        } else if name.eq_ignore_ascii_case("END") {
            let ended = read.raw_value_str().trim().to_ascii_uppercase();
            let component = open
                .pop()
                .filter(|component| component.name == ended)
                .ok_or((line, Problem::Nesting("END does not match the last BEGIN")))?;
            match open.last_mut() {
                Some(parent) => parent.children.push(component),
                None => whole = Some(component),
            }
        } else {
            let component = open
                .last_mut()
                .ok_or_else(|| (line, Problem::Line(excerpt(start))))?;
            let decoded = read.decode(IcalVersion::V2_0).into_owned();
            // Such a value can swallow the lines that follow it.
            if decoded.params.iter().any(transforms) {
                return Err((line, Problem::Value(shown(&decoded.name, 60))));
            }
            component.properties.push(Property { line, decoded });
        }
        let taken = start.len().saturating_sub(after.len());
        line += start
            .iter()
            .take(taken)
            .filter(|byte| **byte == b'\n')
            .count();
        rest = after;
    }
    match (open.pop(), whole) {
        (Some(component), _) => Err((component.line, Problem::Nesting("BEGIN has no END"))),
        (None, Some(whole)) if whole.name == "VCALENDAR" => Ok(whole),
        (None, Some(_) | None) => Err((1, Problem::Calendar)),
    }
}

fn excerpt(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let first = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
    shown(String::from_utf8_lossy(first).trim_end(), 40)
}

fn transforms(parameter: &IcalParam<'_>) -> bool {
    match parameter {
        IcalParam::Encoding(encoding) => !["BASE64", "8BIT"]
            .iter()
            .any(|known| encoding.eq_ignore_ascii_case(known)),
        IcalParam::Charset(charset) => !charset.eq_ignore_ascii_case("UTF-8"),
        IcalParam::Unknown { name, .. } => name.eq_ignore_ascii_case("QUOTED-PRINTABLE"),
        _ => false,
    }
}

/// What the VCALENDAR itself may say. The zone that its floating times are on, if it names one.
pub(super) fn envelope(calendar: &Component) -> Result<Option<&Property>, (usize, Problem)> {
    let mut zone = None;
    let mut version = false;
    for property in &calendar.properties {
        let at = |problem| (property.line, problem);
        let says = |allowed: &[&str]| match super::value::text(property) {
            Ok(text) => allowed.iter().any(|one| text.eq_ignore_ascii_case(one)),
            Err(_) => false,
        };
        let right = match property.kind() {
            Some(IcalPropKind::CalScale) => says(&["GREGORIAN"]),
            Some(IcalPropKind::Method) => says(&["PUBLISH", "REQUEST"]),
            Some(IcalPropKind::RRule | IcalPropKind::ExRule | IcalPropKind::DtStart) => {
                return Err(at(Problem::Property(property.shown_name())));
            }
            Some(_) => true,
            None if property.is_called("VERSION") => {
                if std::mem::replace(&mut version, true) {
                    return Err(at(Problem::Twice("VERSION".into())));
                }
                says(&["2.0"])
            }
            None if property.is_called("X-WR-TIMEZONE") => {
                if zone.replace(property).is_some() {
                    return Err(at(Problem::Twice(property.shown_name())));
                }
                true
            }
            None if property.is_extension() => true,
            None => return Err(at(Problem::Property(property.shown_name()))),
        };
        if !right {
            return Err(at(Problem::Calendar));
        }
    }
    match version {
        true => Ok(zone),
        false => Err((calendar.line, Problem::Calendar)),
    }
}

/// The name that a parameter TZID gives, and whether the property is said to be a date. Other
/// parameters do not go with a time.
pub(super) fn time_parameters(
    property: &Property,
) -> Result<(Option<&str>, Option<bool>), Problem> {
    let (mut zone, mut date) = (None, None);
    for parameter in &property.decoded.params {
        let again = match parameter {
            IcalParam::TzId(name) => zone.replace(name.as_ref()).is_some(),
            IcalParam::Value(kind) if kind.eq_ignore_ascii_case("DATE") => {
                date.replace(true).is_some()
            }
            IcalParam::Value(kind) if kind.eq_ignore_ascii_case("DATE-TIME") => {
                date.replace(false).is_some()
            }
            IcalParam::Range(_) => return Err(Problem::Range),
            IcalParam::Unknown { name, .. }
                if name.get(..2).is_some_and(|x| x.eq_ignore_ascii_case("X-")) =>
            {
                false
            }
            _ => true,
        };
        if again {
            return Err(Problem::Value(property.shown_name()));
        }
    }
    Ok((zone, date))
}
