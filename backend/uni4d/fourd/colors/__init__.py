"""How the splats' colours change over a clip: by the light that things turn in, or by themselves."""
