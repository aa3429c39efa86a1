//! Checking a recovery plan before it is needed.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use blackstart_core::artifact::Digest;
use blackstart_core::items::{Class, Item, classify};
use blackstart_core::plan::{Plan, Problem, STARTING_POINT, line_of};
use blackstart_core::rebuild::templates::check_one;
use blackstart_yara::{RuleProblem, Rules};
use clap::{Args, Subcommand};

/// What can be done with a plan.
#[derive(Debug, Args)]
pub(crate) struct PlanCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Reports every problem of a plan with its line; exits with 0 if there is none, and with 1 if there is.
    Check {
        /// The plan, a YAML or JSON file.
        file: PathBuf,
        /// Folder that mirrors the bucket of the plans: the files of YARA rules that the plan names are compiled, too.
        #[arg(long, value_name = "FOLDER")]
        rules: Option<PathBuf>,
        /// Folder with the plan's templates, each under its `key`: they are checked as a rebuild would check them, and
        /// what of them is neither rebuilt, restored nor rotated is named.
        #[arg(long, value_name = "FOLDER")]
        templates: Option<PathBuf>,
    },
    /// Writes a commented plan to begin with.
    Init {
        /// Where to write it, with its JSON Schema beside it for the editor; to the terminal without.
        file: Option<PathBuf>,
    },
    /// Writes the JSON Schema of plans to the terminal.
    Schema,
}

/// Name of the schema beside a new plan; the plan's first line refers to it.
const SCHEMA_FILE: &str = "plan.schema.json";

/// The plan cannot be checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// The file cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file of a new plan cannot be written; one that exists is never overwritten.
    #[error("`{}` cannot be written", path.display())]
    NotWritten {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The schema has no JSON form.
    #[error("the schema cannot be written")]
    Schema(#[from] serde_json::Error),
    /// The answer cannot be shown.
    #[error("the answer cannot be written")]
    Output(#[source] std::io::Error),
}

impl PlanCommand {
    /// Does it. `false`: the plan has problems, and they are written to `out`.
    ///
    /// # Errors
    /// [`PlanError`].
    pub(crate) fn run(self, out: &mut impl Write) -> Result<bool, PlanError> {
        match self.action {
            Action::Check {
                file,
                rules,
                templates,
            } => check(&file, rules.as_deref(), templates.as_deref(), out),
            Action::Init { file: Some(file) } => init(&file, out).map(|()| true),
            Action::Init { file: None } => {
                out.write_all(STARTING_POINT.as_bytes())
                    .map_err(PlanError::Output)?;
                Ok(true)
            }
            Action::Schema => {
                writeln!(out, "{}", schema()?).map_err(PlanError::Output)?;
                Ok(true)
            }
        }
    }
}

fn schema() -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&schemars::schema_for!(Plan))
}

fn init(file: &Path, out: &mut impl Write) -> Result<(), PlanError> {
    let schema_file = file.with_file_name(SCHEMA_FILE);
    for (path, text) in [
        (file, STARTING_POINT.to_owned()),
        (&schema_file, schema()? + "\n"),
    ] {
        std::fs::File::create_new(path)
            .and_then(|mut created| created.write_all(text.as_bytes()))
            .map_err(|source| PlanError::NotWritten {
                path: path.to_owned(),
                source,
            })?;
        writeln!(out, "{} written", path.display()).map_err(PlanError::Output)?;
    }
    writeln!(
        out,
        "next: fill it in, then `blackstart plan check {}`",
        file.display()
    )
    .map_err(PlanError::Output)
}

fn check(
    file: &Path,
    rules: Option<&Path>,
    templates: Option<&Path>,
    out: &mut impl Write,
) -> Result<bool, PlanError> {
    let bytes = read(file)?;
    let plan = Plan::parse(&bytes);
    let items = match (&plan, templates) {
        (Ok(plan), Some(folder)) => check_templates(plan, folder)?.map(Some),
        _ => Ok(None),
    };
    let name = file.display();
    let sound = match (&plan, items) {
        (Ok(plan), Ok(items)) => {
            write!(
                out,
                "{name}: a sound plan for `{}`: {} resource(s), {} stack(s), {} credential(s)",
                plan.workload,
                plan.resources.len(),
                plan.rebuild.stacks.len(),
                plan.rotation.names().len()
            )
            .and_then(|()| match items {
                Some(items) => writeln!(out, "; {}", counted(&items)),
                None => writeln!(out),
            })
            .map_err(PlanError::Output)?;
            warn(&plan.unlisted_losses(), &name, &bytes, out)?;
            true
        }
        (Ok(_), Err(problems)) => say(&problems, &name, &bytes, out).map(|()| false)?,
        (Err(invalid), _) => say(&invalid.0, &name, &bytes, out).map(|()| false)?,
    };
    match (&plan, rules) {
        (Ok(plan), Some(folder)) => Ok(check_rules(plan, folder, out)? && sound),
        _ => Ok(sound),
    }
}

/// What a sound plan leaves out and may do without.
fn warn(
    warnings: &[Problem],
    name: &impl std::fmt::Display,
    bytes: &[u8],
    out: &mut impl Write,
) -> Result<(), PlanError> {
    if warnings.is_empty() {
        return Ok(());
    }
    list(warnings, name, bytes, out)?;
    writeln!(out, "{} warning(s): the plan is sound", warnings.len()).map_err(PlanError::Output)
}

/// Every problem with its line, in their order, and their number.
fn say(
    problems: &[Problem],
    name: &impl std::fmt::Display,
    bytes: &[u8],
    out: &mut impl Write,
) -> Result<(), PlanError> {
    list(problems, name, bytes, out)?;
    writeln!(out, "{} problem(s)", problems.len()).map_err(PlanError::Output)
}

fn list(
    problems: &[Problem],
    name: &impl std::fmt::Display,
    bytes: &[u8],
    out: &mut impl Write,
) -> Result<(), PlanError> {
    let text = String::from_utf8_lossy(bytes);
    let mut problems: Vec<_> = problems
        .iter()
        .map(|problem| (line_of(&text, &problem.at), problem))
        .collect();
    problems.sort();
    for (line, problem) in &problems {
        writeln!(
            out,
            "{name}:{line}: {}: {}",
            problem.at.escape_debug(),
            problem.what.escape_debug()
        )
        .map_err(PlanError::Output)?;
    }
    Ok(())
}

/// Compiles the plan's YARA rules, and says every problem with its file and line.
fn check_rules(plan: &Plan, folder: &Path, out: &mut impl Write) -> Result<bool, PlanError> {
    let mut problems = Vec::new();
    let mut texts = Vec::new();
    for file in &plan.validation.yara_rules {
        let mut problem = |what: String| {
            problems.push(RuleProblem {
                file: file.key.clone(),
                line: 1,
                what,
            });
        };
        match std::fs::read(folder.join(&file.key))
            .map(|bytes| (Digest::of(&bytes), String::from_utf8(bytes)))
        {
            Ok((digest, _)) if digest != file.sha256 => {
                problem(format!("has the digest {digest}, the plan names {}", file.sha256));
            }
            Ok((_, Ok(text))) => texts.push((file.key.as_str(), text)),
            Ok((_, Err(error))) => problem(error.to_string()),
            Err(error) => problem(format!("cannot be read: {error}")),
        }
    }
    match Rules::compile(texts.iter().map(|(name, text)| (*name, text.as_str()))) {
        Ok(rules) if problems.is_empty() => {
            let files = texts.len();
            writeln!(
                out,
                "{} YARA rules compile: {files} file(s) and the starter set",
                rules.count()
            )
            .map_err(PlanError::Output)?;
        }
        Ok(_) => {}
        Err(more) => problems.extend(more),
    }
    for problem in &problems {
        writeln!(out, "{}", problem.to_string().escape_debug()).map_err(PlanError::Output)?;
    }
    if !problems.is_empty() {
        writeln!(out, "{} problem(s)", problems.len()).map_err(PlanError::Output)?;
    }
    Ok(problems.is_empty())
}

fn read(path: &Path) -> Result<Vec<u8>, PlanError> {
    std::fs::read(path).map_err(|source| PlanError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

/// Every problem of the templates and of the classification of what is in them, located in the plan.
fn check_templates(plan: &Plan, folder: &Path) -> Result<Result<Vec<Item>, Vec<Problem>>, PlanError> {
    let mut passed = BTreeMap::new();
    let mut problems = Vec::new();
    for (i, stack) in plan.rebuild.stacks.iter().enumerate() {
        // The key is joined as written: a plan is its author's own.
        let bytes = read(&folder.join(&stack.template.key))?;
        match check_one(plan, stack, &bytes) {
            Ok(template) => {
                passed.insert(stack.name.clone(), template);
            }
            Err(found) => problems.extend(found.into_iter().map(|problem| Problem {
                at: format!("rebuild.stacks[{i}].template"),
                what: problem.to_string(),
            })),
        }
    }
    Ok(if problems.is_empty() {
        classify(plan, &passed)
    } else {
        Err(problems)
    })
}

fn counted(items: &[Item]) -> String {
    let of = |class| items.iter().filter(|item| item.class == class).count();
    format!(
        "{} item(s): {} rebuilt, {} restored, {} rotated",
        items.len(),
        of(Class::Rebuild),
        of(Class::Restore),
        of(Class::Rotate)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> (bool, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plan.json");
        std::fs::write(&file, text).unwrap();
        let mut out = Vec::new();
        let action = Action::Check {
            file,
            rules: None,
            templates: None,
        };
        let sound = PlanCommand { action }.run(&mut out).unwrap();
        (sound, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_new_plan_is_sound_and_overwrites_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("orders.yaml");
        let init = || PlanCommand {
            action: Action::Init {
                file: Some(file.clone()),
            },
        };
        assert!(init().run(&mut Vec::new()).unwrap());
        let schema = std::fs::read(folder.path().join(SCHEMA_FILE)).unwrap();
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&schema).unwrap()["title"],
            "Plan"
        );
        let (sound, out) = check(&std::fs::read_to_string(&file).unwrap());
        assert!(sound, "{out}");

        std::fs::write(&file, "mine").unwrap();
        let refused = init().run(&mut Vec::new()).unwrap_err();
        assert!(refused.to_string().contains("orders.yaml"), "{refused}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    }

    #[test]
    fn all_problems_are_reported_with_their_lines_and_a_sound_plan_is_said_to_be_one() {
        let plan = include_str!("../../../tests/data/plan/orders.json");
        let (sound, out) = check(plan);
        assert!(sound, "{out}");
        assert!(out.contains("a sound plan for `orders`"), "{out}");

        let bad = plan.replace("\"quorum\": 2", "\"quorum\": 7").replacen(
            "\"region\"",
            "\"regoin\": \"\\u202e\",\n  \"region\"",
            1,
        );
        let (sound, out) = check(&bad);
        assert!(!sound);
        assert!(out.contains("plan.json:4: regoin: unknown field"), "{out}");
        assert!(out.contains("approval.quorum: must be between"), "{out}");
        assert!(out.ends_with("2 problem(s)\n"), "{out}");
    }

    #[test]
    fn what_is_wrong_with_fix_ups_and_seams_is_told_with_its_line() {
        let plan = include_str!("../../../tests/data/plan/orders.json").replace(
            "\"restore_to\": \"orders-restored\"\n",
            "\"restore_to\": \"orders-restored\",\n      \"fix_ups\": [{\"kind\": \"versioning\"}],\n      \"seam\": {\n        \
             \"by\": \"parameter\",\n        \"stack\": \"elsewhere\",\n        \"parameter\": \"Table\"\n      }\n",
        );
        let line = |needle: &str| plan.lines().position(|line| line.contains(needle)).unwrap() + 1;
        let (sound, out) = check(&plan);
        assert!(!sound);
        let fix_up = format!(
            "plan.json:{}: resources[1].fix_ups[0]: is for buckets only",
            line("versioning")
        );
        assert!(out.contains(&fix_up), "{out}");
        let seam = format!(
            "plan.json:{}: resources[1].seam.stack: `elsewhere` is no stack",
            line("elsewhere")
        );
        assert!(out.contains(&seam), "{out}");
        assert!(out.ends_with("2 problem(s)\n"), "{out}");
    }

    #[test]
    fn with_its_templates_a_plan_names_what_is_neither_rebuilt_nor_restored_nor_rotated() {
        let folder = tempfile::tempdir().unwrap();
        let template = r#"{"Resources": {"Data": {"Type": "AWS::S3::Bucket"}, "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"SqsManagedSseEnabled": true}}}}"#;
        std::fs::write(folder.path().join("template.json"), template).unwrap();
        let plan = |items: &str| {
            STARTING_POINT
                .replace("orders/foundation.json", "template.json")
                .replace(&"0".repeat(64), Digest::of(template.as_bytes()).as_str())
                .replace(
                    "\"AWS::SQS::Queue\"]",
                    "\"AWS::SQS::Queue\", \"AWS::S3::Bucket\"]",
                )
                .replace(
                    "      # What of a template could",
                    &format!("{items}      # What of a template could"),
                )
        };
        let check = |text: &str| {
            let file = folder.path().join("plan.yaml");
            std::fs::write(&file, text).unwrap();
            let mut out = Vec::new();
            let action = Action::Check {
                file,
                rules: None,
                templates: Some(folder.path().to_owned()),
            };
            let sound = PlanCommand { action }.run(&mut out).unwrap();
            (sound, String::from_utf8(out).unwrap())
        };
        let text = plan("");
        let line = text
            .lines()
            .position(|line| line.contains("- name: orders-foundation"))
            .unwrap()
            + 1;
        let (sound, out) = check(&text);
        assert!(!sound);
        let expected = format!("plan.yaml:{line}: rebuild.stacks[0].items.Data: is missing");
        assert!(out.contains(&expected), "{expected}\n{out}");

        let classified = plan("      items:\n        Data: {class: rebuild, reason: empty at first}\n");
        let (sound, out) = check(&classified);
        assert!(sound, "{out}");
        assert!(
            out.contains("12 item(s): 2 rebuilt, 2 restored, 8 rotated"),
            "{out}"
        );
        assert!(
            out.contains("resources[0].fix_ups: `versioning` is lost on restore")
                && !out.contains("`point_in_time_recovery` is lost"),
            "what the plan puts back is not warned about: {out}"
        );

        let (sound, out) = check(&plan("").replace("AWS::S3::Bucket", "AWS::S3::Other"));
        assert!(!sound && out.contains("allowed_resource_types"), "{out}");
    }

    #[test]
    fn rules_of_a_plan_are_compiled_from_a_folder_and_every_problem_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let broken = "rule a { condition: $x }\n\nrule b { condition: y }\n";
        std::fs::write(at("broken.yar"), broken).unwrap();
        std::fs::write(at("other.yar"), "rule c { condition: true }").unwrap();
        let mut plan: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/data/plan/orders.json")).unwrap();
        let wanted = Digest::of(b"something else");
        plan["validation"]["yara_rules"] = serde_json::json!([
            {"key": "broken.yar", "sha256": Digest::of(broken.as_bytes())},
            {"key": "other.yar", "sha256": wanted},
            {"key": "gone.yar", "sha256": wanted},
        ]);
        std::fs::write(at("plan.json"), plan.to_string()).unwrap();
        let check = || {
            let mut out = Vec::new();
            let rules = Some(folder.path().to_owned());
            let action = Action::Check {
                file: at("plan.json"),
                rules,
                templates: None,
            };
            let sound = PlanCommand { action }.run(&mut out).unwrap();
            (sound, String::from_utf8(out).unwrap())
        };
        let (sound, out) = check();
        assert!(!sound);
        for part in [
            "other.yar:1: has the digest",
            "gone.yar:1: cannot be read",
            "broken.yar:1: ",
            "broken.yar:3: ",
        ] {
            assert!(out.contains(part), "{out}");
        }
        assert!(out.ends_with("4 problem(s)\n"), "{out}");

        plan["validation"]["yara_rules"] = serde_json::json!([]);
        std::fs::write(at("plan.json"), plan.to_string()).unwrap();
        let (sound, out) = check();
        assert!(sound && out.contains("YARA rules compile: 0 file(s)"), "{out}");
    }
}
