//! Names that older files use for the same tensors.

/// Parts of names: today's, and those that older releases of diffusers and the code before it wrote.
const OLD: [(&str, &[&str]); 7] = [
    (".to_q.", &[".query.", ".q."]),
    (".to_k.", &[".key.", ".k."]),
    (".to_v.", &[".value.", ".v."]),
    (".to_out.0.", &[".proj_attn.", ".proj_out.", ".proj.", ".to_out."]),
    (".group_norm.", &[".norm."]),
    (".time_emb_proj.", &[".temb_proj."]),
    (".conv_shortcut.", &[".nin_shortcut.", ".shortcut."]),
];

/// The names under which older files may hold `name`.
pub(super) fn old_names(name: &str) -> Vec<String> {
    let Some((new, old)) = OLD.iter().find(|(new, _)| name.contains(new)) else { return Vec::new() };
    let attention = !matches!(*new, ".time_emb_proj." | ".conv_shortcut.");
    let place = if attention { ".attentions." } else { ".resnets." };
    let named = |old: &&str| name.replace(new, old);
    if name.contains(place) { old.iter().map(named).collect() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_have_old_names_and_nothing_else_does() {
        let old = |name| old_names(name).first().cloned().unwrap_or_default();
        assert_eq!(old("mid_block.attentions.0.to_q.weight"), "mid_block.attentions.0.query.weight");
        assert_eq!(old("mid_block.attentions.0.to_out.0.bias"), "mid_block.attentions.0.proj_attn.bias");
        assert_eq!(old("mid_block.attentions.0.group_norm.bias"), "mid_block.attentions.0.norm.bias");
        assert_eq!(old("mid_block.resnets.0.time_emb_proj.bias"), "mid_block.resnets.0.temb_proj.bias");
        assert_eq!(old("down_blocks.1.resnets.0.conv_shortcut.weight"), "down_blocks.1.resnets.0.nin_shortcut.weight");
        assert_eq!(old("blocks.0.time_emb_proj.weight"), "", "an MLP never had another name");
        assert_eq!(old("conv_in.weight"), "");
    }
}
