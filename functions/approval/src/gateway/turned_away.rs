//! Every reason to turn a caller away: a status and one sentence each.

use blackstart_core::approval::sign_in::BadToken;
use blackstart_core::approval::vote::BadRationale;
use jiff::Timestamp;
use strum::IntoStaticStr;

/// Why a caller is turned away. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum TurnedAway {
    /// IAM vouches for nobody.
    #[error("the request carries no identity that IAM verified: sign it, and send it to the function URL")]
    NoIdentity,
    /// Whoever calls has not signed in.
    #[error("sign in first")]
    NotSignedIn,
    /// The token says nothing about who calls.
    #[error(transparent)]
    Token(BadToken),
    /// There is no page.
    #[error("this gateway has no page: vote with `blackstart approve`")]
    NoPage,
    /// The sign-in was not begun in this browser, or too long ago.
    #[error("this sign-in was not begun here, or it took too long: begin again")]
    NoSignIn,
    /// The form is not from this gateway's own page.
    #[error(
        "the form was not sent from this gateway's own page, or the session has changed: open the page again"
    )]
    OtherSite,
    /// A body of another kind than this caller may send.
    #[error("this path takes {0}")]
    OtherContent(&'static str),
    /// The event is none of a function URL.
    #[error("the event is not a function URL request of payload format 2.0")]
    NotARequest,
    /// There is nothing at this path.
    #[error(
        "there is nothing here: use `GET /runs/RUN`, `POST /runs/RUN/votes`, or `GET` and `POST /runs/RUN/operator`"
    )]
    NoSuchPath,
    /// The path exists, the method does not.
    #[error("this path takes {0} only")]
    WrongMethod(&'static str),
    /// The run does not exist.
    #[error("there is no such run")]
    UnknownRun,
    /// The body is too large.
    #[error("the body has {found} bytes, at most {limit} are taken")]
    TooLarge {
        /// Bytes sent.
        found: usize,
        /// Bytes taken.
        limit: usize,
    },
    /// The body is not what the path takes.
    #[error("the body does not match at `{at}`: {why}")]
    Malformed {
        /// JSON path.
        at: String,
        /// Why.
        why: String,
    },
    /// The caller is nobody's identity in the plan.
    #[error("the plan's roster does not know your identity")]
    NotOnRoster,
    /// The caller asked for the run.
    #[error("you asked for this run, so others must decide on it")]
    Requester,
    /// There is no package to decide on.
    #[error("nothing has been put before the approvers of this run yet")]
    NothingToDecide,
    /// The vote names another package.
    #[error("your vote is on package {sent}, and {current} is before the approvers: look at that one first")]
    OtherDigest {
        /// Short digest of the vote.
        sent: String,
        /// Short digest of the package before the approvers.
        current: String,
    },
    /// The operator's answer names another question.
    #[error(
        "the run asks question {current} now, and your answer is to another one: look at what is open first"
    )]
    OtherQuestion {
        /// What is asked now.
        current: String,
    },
    /// Another operator answered the question.
    #[error("{by} has answered this question already: {chosen}")]
    Answered {
        /// What was chosen.
        chosen: &'static str,
        /// Who chose it.
        by: String,
    },
    /// The rationale is too short or too long.
    #[error(transparent)]
    Rationale(BadRationale),
    /// The time is over.
    #[error("the time to decide ended at {0}")]
    Expired(Timestamp),
    /// Late evidence moved the event boundary.
    #[error(
        "late evidence moved the event boundary, so this package is void: a new one is being made, look at that one"
    )]
    Void,
    /// The gate is decided.
    #[error("the package is {0} already, which is final")]
    Decided(&'static str),
    /// The person has voted otherwise before.
    #[error("you have voted on this package already, and a vote cannot be changed")]
    VotedAlready,
    /// Nobody waits for an operator.
    #[error("no state of this run waits for an operator, or another operator is answering it now")]
    NobodyWaits,
}

impl TurnedAway {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::NoIdentity | Self::NotSignedIn | Self::Token(_) => 401,
            Self::NotOnRoster | Self::Requester | Self::OtherSite => 403,
            Self::NoPage | Self::NoSuchPath | Self::UnknownRun | Self::NothingToDecide => 404,
            Self::WrongMethod(_) => 405,
            Self::OtherDigest { .. }
            | Self::OtherQuestion { .. }
            | Self::Answered { .. }
            | Self::Void
            | Self::Decided(_)
            | Self::VotedAlready
            | Self::NobodyWaits => 409,
            Self::Expired(_) => 410,
            Self::TooLarge { .. } => 413,
            Self::OtherContent(_) => 415,
            Self::NotARequest | Self::NoSignIn | Self::Malformed { .. } | Self::Rationale(_) => 400,
        }
    }

    /// A short name, for records and programs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.into()
    }
}
