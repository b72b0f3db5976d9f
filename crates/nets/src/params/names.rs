//! Names that older files use for the same tensors.

/// Attention layers: their names, and those that older releases of diffusers wrote.
const OLD_ATTENTION: [(&str, &str); 4] =
    [(".to_q.", ".query."), (".to_k.", ".key."), (".to_v.", ".value."), (".to_out.0.", ".proj_attn.")];

/// The name under which an older file holds `name`, if it had another one.
pub(super) fn old_name(name: &str) -> Option<String> {
    let (new, old) = OLD_ATTENTION.iter().find(|(new, _)| name.contains(new))?;
    name.contains(".attentions.").then(|| name.replace(new, old))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attention_has_old_names_and_nothing_else_does() {
        let old = |name| old_name(name).unwrap_or_default();
        assert_eq!(old("mid_block.attentions.0.to_q.weight"), "mid_block.attentions.0.query.weight");
        assert_eq!(old("mid_block.attentions.0.to_out.0.bias"), "mid_block.attentions.0.proj_attn.bias");
        assert_eq!(old("mid_block.attentions.0.group_norm.bias"), "");
        assert_eq!(old("conv_in.weight"), "");
    }
}
