//! The content of a restored bucket or table: read once, streamed, with bounded memory.

use blackstart_core::plan::{Resource, ResourceType};
use blackstart_core::restore::resource::template_resource;
use blackstart_core::validation::check_function::{self, Called};
use blackstart_core::validation::{ContentManifest, LayerVerdict, Verdict};

use crate::cloud_control::{CloudControl, Resource as TemplateResource};
use crate::port::PortError;

mod copies;
mod reading;
mod removal;
mod settings;
mod trial;

/// The clients that content is read with.
#[derive(Debug, Clone)]
pub struct ContentReader {
    s3: aws_sdk_s3::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    others: CloudControl,
}

/// What a restored resource holds, and what that says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Every object or item by digest.
    pub manifest: ContentManifest,
    /// The content scan's verdict. It is unknown if an object could not be read: the manifest lacks it then.
    pub scan: LayerVerdict,
    /// The plan's invariants on this resource.
    pub invariants: LayerVerdict,
}

impl Content {
    /// Takes over what a function says about the resource. Where nothing can be read from outside, its figures are the
    /// content.
    pub fn hear(&mut self, resource: &Resource, function: &str, called: &Called) {
        let nothing = LayerVerdict {
            verdict: Verdict::Clean,
            reasons: Vec::new(),
        };
        let so_far = std::mem::replace(&mut self.invariants, nothing);
        self.invariants = so_far.and(check_function::judge(resource.resource_type, function, called));
        if !resource.resource_type.is_readable() {
            self.manifest
                .entries
                .extend(check_function::figures(function, called));
        }
    }
}

impl ContentReader {
    /// A reader with this configuration's account and region. Cloud Control API uses the role,
    /// or the caller's own permissions.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, role_arn: Option<String>) -> Self {
        Self {
            s3: crate::artifacts::s3_client(config),
            dynamodb: aws_sdk_dynamodb::Client::new(config),
            others: CloudControl::new(config, role_arn),
        }
    }
}

fn cloud_resource(resource_type: ResourceType, arn: &str) -> Option<TemplateResource<'_>> {
    template_resource(resource_type, arn).map(|(type_name, identifier)| TemplateResource {
        type_name,
        identifier,
    })
}

fn unknown_to_cloud_control(what: String) -> PortError {
    PortError::Refused {
        what,
        why: "Cloud Control API has no resource of this type, or AWS Backup did not say what it made"
            .to_owned(),
    }
}

#[cfg(test)]
mod wire_tests;
