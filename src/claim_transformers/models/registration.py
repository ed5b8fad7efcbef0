"""Auto classes of transformers: how they come to know the model families of this package without being imported by it.

`import claim_transformers` must be enough for `AutoModel.from_pretrained(folder)`, and must not cost the seconds that
torch and transformers take to load: most commands of the command line need neither. transformers has no entry points,
and `AutoModel.register` wants the class itself, so a family is registered when the Auto class is loaded, by a hook on
the import system (the post-import hook of PEP 369, as `wrapt` has it): right after transformers has executed one of
its Auto modules, the family's modules are imported and registered. What is loaded already is registered at once.

A family's module may be the one that loads the Auto module: `modeling_claim` imports a layer of transformers that
imports `modeling_auto`. The class does not exist yet then, so the end of the family's module is awaited likewise.

Names of the store, such as `claim-pt-base`, are no names of the Hub: where an Auto class or `pipeline` is given one,
it reads the folder that the name stands for, as the classes of this package do, and no network is asked.
"""

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from inspect import signature
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from claim_transformers.models.claim.names_claim import (
    checkpoint_hint,
    is_misspelt,
    naming_alternatives,
    resolve_checkpoint,
)

_AUTO = "transformers.models.auto"
_CLAIM = "claim_transformers.models.claim"
_PIPELINES, _PEFT = "transformers.pipelines", "peft.utils.constants"
# A room above, which is told by its name: rooms import downwards.
_OUR_PIPELINES = "claim_transformers.hub.pipelines"


class _Family(NamedTuple):
    """Names of the modules of a family and of what each Auto class makes of its configuration."""

    configuration: str
    modeling: str
    config_class: str
    model_classes: dict[str, str]


# A visit is to a claim model what a token is to a language model, so a label per visit is token classification.
_FAMILIES = (
    _Family(
        f"{_CLAIM}.configuration_claim",
        f"{_CLAIM}.modeling_claim",
        "ClaimConfig",
        {
            "AutoModel": "ClaimModel",
            "AutoModelForPreTraining": "ClaimForPreTraining",
            "AutoModelForMaskedLM": "ClaimForMaskedLM",
            "AutoModelForSequenceClassification": "ClaimForSequenceClassification",
            "AutoModelForTokenClassification": "ClaimForVisitClassification",
        },
    ),
    _Family(
        f"{_CLAIM}.configuration_recurrent",
        f"{_CLAIM}.modeling_recurrent",
        "RecurrentConfig",
        {"AutoModel": "RecurrentModel", "AutoModelForSequenceClassification": "RecurrentForSequenceClassification"},
    ),
)
# Both families read the tokens of one tokenizer.
_TOKENIZATION = f"{_CLAIM}.tokenization_claim"


def _register_configuration(family: _Family) -> None:
    """Tell `AutoConfig` of a family."""
    config_class = getattr(sys.modules[family.configuration], family.config_class)
    sys.modules[f"{_AUTO}.configuration_auto"].AutoConfig.register(
        config_class.model_type, config_class, exist_ok=True
    )


def _register_tokenizer(family: _Family) -> None:
    """Tell `AutoTokenizer` of a family."""
    config_class = getattr(sys.modules[family.configuration], family.config_class)
    tokenizer_class = sys.modules[_TOKENIZATION].ClaimTokenizer
    sys.modules[f"{_AUTO}.tokenization_auto"].AutoTokenizer.register(
        config_class, tokenizer_class=tokenizer_class, exist_ok=True
    )


def _register_models(family: _Family) -> None:
    """Tell every Auto class that fits a family of its model."""
    config_class = getattr(sys.modules[family.configuration], family.config_class)
    modeling, auto = sys.modules[family.modeling], sys.modules[f"{_AUTO}.modeling_auto"]
    for auto_class, model_class in family.model_classes.items():
        getattr(auto, auto_class).register(config_class, getattr(modeling, model_class), exist_ok=True)


def _names_of_store(load: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function that loads a checkpoint by its name read names of the store where they lie."""

    @wraps(load)
    def resolved(name: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(name, str):
            return load(name, *args, **kwargs)
        folder = resolve_checkpoint(name, kwargs.get("revision"))
        if folder != name:
            # A version of the store is a folder of its own.
            kwargs.pop("revision", None)
        elif is_misspelt(name) and not _is_cached(name, kwargs.get("cache_dir")):
            # Before the Hub is asked, which takes minutes where no network is.
            raise OSError(f"expected a checkpoint, found none named {name!r}. {checkpoint_hint(name)}")
        with naming_alternatives(name):
            return load(folder, *args, **kwargs)

    return resolved


def _is_cached(name: str, cache_dir: Any) -> bool:
    """Whether the cache of the Hub's client holds a checkpoint of that name."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(name, "config.json", cache_dir=cache_dir), str)


def _teach_names(class_: Any) -> None:
    """Let `from_pretrained` of an Auto class know the names of the store."""
    load = class_.from_pretrained.__func__

    def from_pretrained(cls: Any, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        return _names_of_store(lambda name, *given, **named: load(cls, name, *given, **named))(
            pretrained_model_name_or_path, *args, **kwargs
        )

    class_.from_pretrained = classmethod(wraps(load)(from_pretrained))


def _teach_models() -> None:
    """Let every Auto class of models know the names of the store; each has a `from_pretrained` of its own."""
    base = sys.modules[f"{_AUTO}.auto_factory"]._BaseAutoModelClass
    for class_ in (base, *base.__subclasses__()):
        if "from_pretrained" in vars(class_):
            _teach_names(class_)


def _teach_pipelines() -> None:
    """Tell `pipeline` of our tasks, and of the names of the store."""
    known = sys.modules[_PIPELINES].pipeline
    build = FunctionType(known.__code__, known.__globals__, known.__name__, known.__defaults__)

    def pipeline(task: Any = None, model: Any = None, *args: Any, **kwargs: Any) -> Any:
        return _names_of_store(lambda name, **named: build(task, name, *args, **named))(model, **kwargs)

    # Whoever has imported the function already has this very object, which has to learn.
    known.__signature__, known.__kwdefaults__ = signature(known), {"_taught": pipeline}
    known.__code__, known.__defaults__ = _ask_taught.__code__, None
    # It registers its tasks at its end; no-op where it is what loads the pipelines of transformers.
    import_module(_OUR_PIPELINES)


def _ask_taught(*args: Any, _taught: Any, **kwargs: Any) -> Any:
    return _taught(*args, **kwargs)


def _teach_lora() -> None:
    """Tell `peft` which linears of ours LoRA adapts by default: those of its paper, queries and values."""
    known = sys.modules[_PEFT].TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
    known.setdefault("claim", ["q_proj", "v_proj"])


# What is done once, when a module is there, whatever the families are.
_ONCE: dict[str, Callable[[], None]] = {
    f"{_AUTO}.configuration_auto": lambda: _teach_names(sys.modules[f"{_AUTO}.configuration_auto"].AutoConfig),
    f"{_AUTO}.tokenization_auto": lambda: _teach_names(sys.modules[f"{_AUTO}.tokenization_auto"].AutoTokenizer),
    f"{_AUTO}.modeling_auto": _teach_models,
    _PIPELINES: _teach_pipelines,
    _PEFT: _teach_lora,
}
# What is done when an Auto module and the modules of a family are there, all of them executed to their end.
_STEPS = {
    f"{_AUTO}.configuration_auto": (_register_configuration, lambda family: (family.configuration,)),
    f"{_AUTO}.tokenization_auto": (_register_tokenizer, lambda family: (family.configuration, _TOKENIZATION)),
    f"{_AUTO}.modeling_auto": (_register_models, lambda family: (family.configuration, family.modeling)),
}
_WATCHED = {
    *_STEPS,
    *_ONCE,
    _TOKENIZATION,
    *(name for family in _FAMILIES for name in (family.configuration, family.modeling)),
}
_executed: set[str] = set()


def _after(name: str) -> None:
    """Register what can be registered now that a watched module has been executed."""
    if name in _ONCE and name not in _executed:
        _ONCE[name]()
    _executed.add(name)
    for auto_module, (step, needs) in _STEPS.items():
        if auto_module not in _executed:
            continue
        for family in _FAMILIES:
            if name == auto_module:
                # No-op for a module whose import is under way: its end calls this function again.
                for needed in needs(family):
                    import_module(needed)
            if name in (auto_module, *needs(family)) and _executed.issuperset(needs(family)):
                step(family)


class _AnnouncingLoader(Loader):
    """Loads a module by its own loader and says when it has been executed."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the module's own loader."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """As the module's own loader, which it keeps: nothing of this class stays in it."""
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        _after(module.__name__)


class _AutoModuleFinder(MetaPathFinder):
    """Finds the watched modules as every other finder does, and puts a loader around theirs. It keeps no state."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The specification of a watched module; none for any other, so that the next finder is asked."""
        if fullname not in _WATCHED:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _AnnouncingLoader(spec.loader)
                return spec
        return None


_FINDER = _AutoModuleFinder()


def register() -> None:
    """Register the `claim` and `claim_recurrent` families with the Auto classes, now or when these are loaded.

    With them go the tasks of `pipeline`, the names of the store, and what LoRA of `peft` adapts by default.

    Calling it again changes nothing.
    """
    if _FINDER in sys.meta_path:
        return
    sys.meta_path.insert(0, _FINDER)
    for auto_module in (*_ONCE, *_STEPS):
        if auto_module in sys.modules and auto_module not in _executed:
            import_module(auto_module)  # waits for another thread that is loading it
            _after(auto_module)
